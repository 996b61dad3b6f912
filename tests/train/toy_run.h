#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/text.h>
#include <refnorm/train/classification.h>
#include <refnorm/train/tensor_file.h>
#include <refnorm/train/trainer.h>

#include "tests/train/toy.h"

namespace refnorm::testing {

inline train::TrainSettings toy_settings() {
  train::TrainSettings settings;
  settings.epochs = 3;
  settings.batch_size = 16;
  settings.lr = 0.05;
  settings.schedule = "cosine";
  settings.warmup_epochs = 0.5;
  settings.checkpoint_every = 4;
  settings.log_every = 3;
  return settings;
}

struct Stop : std::exception {};

/// A run of its own: everything is made anew, as another process would. `stop_after` ends it like a kill,
/// after that step.
inline train::Outcome run_toy(const std::filesystem::path& folder, const std::string& norm, bool resume,
                              std::int64_t stop_after = -1, train::TrainSettings settings = toy_settings(),
                              std::string* weights = nullptr, const std::string& batches = "iid") {
  const ToySet train(200);
  const ToySet validation(40);
  const train::Network network = toy_network(norm);
  const auto sampler = data::make_sampler(batches, data::keys_of(train), settings.batch_size, 1);
  std::vector<std::int64_t> reference_indices{1, 2, 3, 4, 5, 6, 7, 8};
  ReferenceKeeper reference(ModelView(*network.module, network.forward),
                            train.batch(reference_indices).images);
  torch::manual_seed(4);
  train::Compute compute;
  compute.bfloat16 = settings.precision == "bf16";
  compute.channels_last = settings.memory_format == "channels_last";
  compute.place(*network.module);
  train::Classification task(
      network, reference,
      {&train, &validation, sampler.get(), {sampler->batches_per_epoch(), settings.accumulate}}, settings,
      compute);
  train::Trainer trainer(task, settings, folder);
  train::Hooks hooks;
  hooks.after_step = [&](const train::RunState& state, double) {
    if (state.step == stop_after) throw Stop();
  };
  const train::Outcome outcome = trainer.run(resume, hooks);
  if (weights != nullptr) *weights = to_safetensors(train::state_of(*network.module));
  return outcome;
}

/// metrics.jsonl without the times.
inline std::string metrics_of(const std::filesystem::path& folder) {
  std::string out;
  for (const std::string& line : split(read_file(folder / "metrics.jsonl"), '\n')) {
    if (line.empty()) continue;
    Json json = parse_json(line, "metrics.jsonl");
    json.erase("time");
    out += json.dump() + "\n";
  }
  return out;
}

}  // namespace refnorm::testing
