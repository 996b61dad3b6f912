#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/json.h>
#include <refnorm/base/timing.h>
#include <refnorm/data/sampler.h>
#include <refnorm/metrics/tally.h>

namespace refnorm::train {

/// The parts of a training step whose times are reported.
enum Phase : std::size_t {
  kData,
  kReference,
  kForward,
  kLoss,
  kBackward,
  kExchange,  ///< waiting for other processes, beyond what backward hides
  kUpdate,
  kRecord,
  kOther,
  kPhases
};
inline constexpr std::array<const char*, kPhases> kPhaseNames{
    "data", "reference", "forward", "loss", "backward", "exchange", "update", "record", "other"};
using StepClock = PhaseClock<kPhases>;

/// A forward pass of training on one batch.
struct Pass {
  torch::Tensor loss;    ///< float32 scalar, the mean over the batch
  metrics::Tally tally;  ///< of this batch
  /// Where the loss is not finite: the first layer whose output was not, "input" or "loss".
  std::optional<std::string> broken;
};

/// What is learned: from which batches, by which loss, and how well. All else of training (steps, schedule,
/// optimizer, checkpoints, metrics.jsonl) is the trainer's and the same for every task.
class Task {
 public:
  virtual ~Task() = default;

  virtual torch::nn::Module& module() = 0;
  /// Steps of all processes together: each of them takes its share of a step's batches.
  virtual const data::StepPlan& plan() const = 0;

  /// What plan() is from now on: that of a run which goes on with another number of batches a step, because
  /// there are more processes now, or fewer. Throws UserError where a task cannot do that.
  virtual void go_on(const data::StepPlan& plan);

  /// Batches are those of the steps from `first` up to `total`, one call of pass() a batch.
  virtual void begin(std::int64_t first, std::int64_t total) = 0;
  /// No more of them.
  virtual void end() = 0;
  /// On the next batch; `first_of_step` where the weights have changed since the last one.
  virtual Pass pass(bool first_of_step, StepClock& clock) = 0;

  /// The loss of knowing nothing but how frequent each answer is; training that does not get below it is
  /// hopeless.
  virtual double guessing_loss() const { return std::numeric_limits<double>::infinity(); }

  /// Whether there is something to validate on.
  virtual bool validates() const = 0;
  /// Validates with the statistics that need no pass of their own: by mode, that is the running ones where
  /// the norms have them. Puts what it finds into `line`; the error in percent, of which less is better.
  virtual double validate(Json& line) = 0;

  /// Puts into a step line what is said of the batches of steps [first, last), whose tally this is.
  virtual void describe_steps(const metrics::Tally& tally, std::int64_t first, std::int64_t last,
                              Json& line) const = 0;
  /// The same into an epoch's line.
  virtual void describe_epoch(const metrics::Tally& tally, Json& line) const = 0;
};

inline void Task::go_on(const data::StepPlan&) {
  user_error("--resume: this kind of run goes on with the number of processes that it was started with");
}

}  // namespace refnorm::train
