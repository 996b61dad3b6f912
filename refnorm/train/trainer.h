#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <refnorm/base/timing.h>
#include <refnorm/data/image_set.h>
#include <refnorm/data/label_skew.h>
#include <refnorm/data/loader.h>
#include <refnorm/data/sampler.h>
#include <refnorm/norms/capture.h>
#include <refnorm/train/checkpoint.h>
#include <refnorm/train/evaluate.h>
#include <refnorm/train/metrics_log.h>
#include <refnorm/train/network.h>
#include <refnorm/train/schedule.h>
#include <refnorm/train/settings.h>
#include <refnorm/train/training_step.h>
#include <refnorm/train/weight_average.h>

namespace refnorm::train {

/// What stands in place of a layer where a run was stopped as hopeless (TrainSettings::give_up).
inline constexpr const char* kGaveUp = "no better than guessing";

struct Divergence {
  std::int64_t step = 0;  ///< the step (from 1) whose loss was not finite
  std::string layer;      ///< the first layer whose output was not finite, "loss", or kGaveUp
};

struct Outcome {
  RunState state;
  std::optional<Divergence> diverged;
  bool interrupted = false;
  double images_per_second = 0;                        ///< of this process, in training steps
  std::vector<std::pair<std::string, double>> shares;  ///< of a step, by part; they add up to 1
};

/// Called at points of the loop; any may be empty.
struct Hooks {
  std::function<void(const RunState&, double loss)> after_step;
  std::function<void(const RunState&)> after_epoch;
};

/// What a run trains on. All must outlive the trainer.
struct TrainingData {
  const data::ImageSet* train = nullptr;
  const data::ImageSet* validation = nullptr;  ///< may be empty
  data::Sampler* sampler = nullptr;
  data::StepPlan plan;
};

/// The training loop: resumes from folder/last where `resume` is set and a checkpoint is there, writes
/// metrics.jsonl, last/ and best/, stops after a step when Ctrl-C was pressed. Where an average of the
/// weights is kept, it is what is validated, what a checkpoint's model is, and what the network holds in the
/// end.
class Trainer {
 public:
  Trainer(Network network, ReferenceKeeper& reference, TrainingData data, TrainSettings settings,
          Compute compute, std::filesystem::path folder);
  Outcome run(bool resume, const Hooks& hooks = {});

 private:
  /// Whether training has come to the point where guessing must be beaten, and has not.
  std::optional<Divergence> hopeless() const;
  /// One step on one batch; the divergence if its loss was not finite.
  std::optional<Divergence> step(double& loss);
  /// Validation error with the statistics that need no pass of their own: by mode, that is the running ones
  /// where the norm has them. Puts it into `line`; whether it is the lowest so far.
  bool validate(Json& line);
  /// Between epochs' ends.
  void validate_between();
  void finish_epoch();
  void write_step_line();
  /// The mean over the batches since the last line.
  data::Skew skew_since_line(const data::LabelSkew& measure) const;
  void save(const char* name);
  WeightAverage* average() { return average_ ? &*average_ : nullptr; }
  double seconds() const;
  double seconds_in_steps() const;

  Network network_;
  ReferenceKeeper& reference_;
  TrainingData data_;
  TrainSettings settings_;
  Compute compute_;
  std::filesystem::path folder_;
  TrainingStep step_;
  std::optional<WeightAverage> average_;
  Schedule schedule_;
  data::LabelSkew label_skew_;
  double guessing_loss_;                       ///< of knowing the classes' shares only
  std::optional<data::LabelSkew> group_skew_;  ///< where the training set has groups
  RunState state_;
  std::optional<MetricsLog> log_;
  std::optional<data::Loader> loader_;  ///< while run() does
  PhaseClock<kPhases> clock_;
  Stopwatch watch_;
  double seconds_before_ = 0, training_before_ = 0;
};

}  // namespace refnorm::train
