#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

#include <refnorm/data/sampler.h>
#include <refnorm/metrics/tally.h>
#include <refnorm/train/optimizer.h>
#include <refnorm/train/weight_average.h>

namespace refnorm::train {

struct Best {
  std::int64_t epoch = 0;  ///< finished ones
  std::int64_t step = 0;
  double validation_error_pct = 0;
};

/// When the validation error first was at most the target's.
struct Reached {
  std::int64_t step = 0;
  double training_seconds = 0;  ///< in training steps until then
};

/// Where a run stands, beside its tensors: meta.json.
struct RunState {
  std::int64_t step = 0;            ///< steps done; the place in the data follows from it and the plan
  std::int64_t batches_a_step = 0;  ///< of all processes; 0: not known
  std::vector<data::StepPlan::Change> changes;  ///< of that number, so far
  metrics::Tally since_line;                    ///< since the last step line of metrics.jsonl
  metrics::Tally epoch;                         ///< since the epoch began
  metrics::Tally last_epoch;                    ///< of the last finished epoch
  std::optional<Best> best;
  std::optional<Reached> target;
  std::int64_t metrics_bytes = 0;  ///< length of metrics.jsonl at this moment
  double seconds = 0;              ///< time so far, over all processes
  double training_seconds = 0;     ///< of these, in training steps
};

/// What a process has that no other one has: the state of its generator, and the buffers that processes keep
/// apart (`own`, by name).
Safetensors state_of_process(const std::vector<std::pair<std::string, torch::Tensor>>& own);

/// Writes the folder `target` (last/ or best/) so that a kill at any moment leaves the old or the new
/// checkpoint whole. The torch generator's state goes along. With an `average` of the weights, which may be
/// null, the model that is saved is the averaged one, and what training goes on from lies in the state.
/// `others`: state_of_process() of processes 1, 2 and so on.
void save_checkpoint(const std::filesystem::path& target, const torch::nn::Module& model,
                     const Optimizer& optimizer, const RunState& state, WeightAverage* average = nullptr,
                     const std::vector<Safetensors>& others = {});

/// Restores everything. Throws UserError of one line that names the file where something is missing, damaged
/// or does not fit. Process `rank` gets its own state; where there were fewer processes, it keeps its
/// generator as it is and takes process 0's for what processes keep apart.
RunState load_checkpoint(const std::filesystem::path& folder, torch::nn::Module& model, Optimizer& optimizer,
                         WeightAverage* average = nullptr, int rank = 0);

/// The model alone.
void load_checkpoint_model(const std::filesystem::path& folder, torch::nn::Module& model);

/// Checkpoints are put in their place whole: a folder without its meta.json is a damaged one, which loading
/// names, rather than none.
bool has_checkpoint(const std::filesystem::path& folder);

}  // namespace refnorm::train
