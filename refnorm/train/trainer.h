#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/base/timing.h>
#include <refnorm/train/checkpoint.h>
#include <refnorm/train/metrics_log.h>
#include <refnorm/train/processes/group.h>
#include <refnorm/train/schedule.h>
#include <refnorm/train/settings.h>
#include <refnorm/train/task.h>
#include <refnorm/train/training_step.h>
#include <refnorm/train/weight_average.h>

namespace refnorm::train {

/// A run that came to nothing: one of the two says how.
struct Divergence {
  std::int64_t step = 0;  ///< from 1: whose loss was not finite, or after which the run was given up
  std::string layer;      ///< the first layer whose output was not finite, or "loss"
  std::string given_up;   ///< why it was stopped (TrainSettings::give_up)
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

/// The training loop: resumes from folder/last where `resume` is set and a checkpoint is there, writes
/// metrics.jsonl, last/ and best/, stops after a step when Ctrl-C was pressed. Where an average of the
/// weights is kept, it is what is validated, what a checkpoint's model is, and what the network holds in the
/// end.
class Trainer {
 public:
  /// The task must outlive it. Of a group of processes, each has a trainer, and all of them call run() alike;
  /// the first one writes files. With `own_references`, processes keep their references apart.
  Trainer(Task& task, TrainSettings settings, std::filesystem::path folder,
          std::shared_ptr<Group> group = Group::alone(), bool own_references = false);
  Outcome run(bool resume, const Hooks& hooks = {});

 private:
  /// From the last checkpoint, where there is one; how many epochs were over then.
  std::int64_t go_on();
  /// Whether training has come to the point where guessing must be beaten, and has not.
  std::optional<Divergence> hopeless() const;
  /// One step on one batch; the divergence if its loss was not finite.
  std::optional<Divergence> step(double& loss);
  /// Puts what it finds into `line`; whether the error is the lowest so far.
  bool validate(Json& line);
  /// Between epochs' ends.
  void validate_between();
  void finish_epoch();
  void write_step_line();
  void write(const Json& line);
  void save(const char* name);
  WeightAverage* average() { return average_ ? &*average_ : nullptr; }
  double seconds() const;
  double seconds_in_steps() const;

  Task& task_;
  TrainSettings settings_;
  std::filesystem::path folder_;
  std::shared_ptr<Group> group_;
  bool own_references_;
  data::StepPlan plan_;
  TrainingStep step_;
  std::optional<WeightAverage> average_;
  Schedule schedule_;
  RunState state_;
  std::optional<MetricsLog> log_;
  bool stop_ = false;  ///< somebody asked for it
  StepClock clock_;
  Stopwatch watch_;
  double seconds_before_ = 0, training_before_ = 0;
};

}  // namespace refnorm::train
