#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <refnorm/metrics/tally.h>
#include <refnorm/train/optimizer.h>
#include <refnorm/train/processes/gradient_buckets.h>
#include <refnorm/train/processes/group.h>
#include <refnorm/train/processes/shared_buffers.h>
#include <refnorm/train/settings.h>
#include <refnorm/train/task.h>

namespace refnorm::train {

/// One step of the optimizer: forward and backward passes over TrainSettings::accumulate batches, each
/// normalized by statistics of its own, and an update by the mean of their gradients. Where there are several
/// processes, each does so with batches of its own, and the mean is over the batches of all; it is the same
/// to the bit in each of them, and so are weights and buffers after the step.
class TrainingStep {
 public:
  TrainingStep(torch::nn::Module& module, const TrainSettings& settings,
               std::shared_ptr<Group> group = Group::alone(), bool own_references = false);

  /// Where a loss is not finite in some process, nothing is updated, and `broken` is Pass::broken.
  struct Done {
    metrics::Tally tally;  ///< of all processes' batches
    std::optional<std::string> broken;
    bool stop = false;  ///< some process was asked to stop
  };
  /// `forward` is called once for each batch; its argument says whether it is the step's first.
  Done run(const std::function<Pass(bool)>& forward, double lr, StepClock& clock);

  /// By layer: the root of the sum of squares over its parameters' gradients, of the last step, before
  /// clipping.
  std::vector<std::pair<std::string, double>> gradient_norms() const;
  /// What the last step's gradients were multiplied by so that their norm is at most
  /// TrainSettings::clip_norm.
  double clipped_to() const { return clipped_to_; }

  Optimizer& optimizer() { return optimizer_; }

  const GradientBuckets& buckets() const { return buckets_; }

 private:
  Done run_alone(const std::function<Pass(bool)>& forward, StepClock& clock);
  Done run_together(const std::function<Pass(bool)>& forward, StepClock& clock);
  void update(double lr, StepClock& clock);
  void clip();

  torch::nn::Module& module_;
  std::int64_t accumulate_;
  double clip_norm_;
  Optimizer optimizer_;
  std::shared_ptr<Group> group_;
  c10::intrusive_ptr<ops::JointStatistics> joint_;  ///< null: statistics are each process's own
  GradientBuckets buckets_;
  SharedBuffers shared_;
  double clipped_to_ = 1;
};

}  // namespace refnorm::train
