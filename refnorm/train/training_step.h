#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <refnorm/metrics/tally.h>
#include <refnorm/train/optimizer.h>
#include <refnorm/train/settings.h>
#include <refnorm/train/task.h>

namespace refnorm::train {

/// One step of the optimizer: forward and backward passes over TrainSettings::accumulate batches, each
/// normalized by statistics of its own, and an update by the mean of their gradients.
class TrainingStep {
 public:
  TrainingStep(torch::nn::Module& module, const TrainSettings& settings);

  /// Where a loss is not finite, nothing is updated, and `broken` is Pass::broken.
  struct Done {
    metrics::Tally tally;
    std::optional<std::string> broken;
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

 private:
  void clip();

  torch::nn::Module& module_;
  std::int64_t accumulate_;
  double clip_norm_;
  Optimizer optimizer_;
  double clipped_to_ = 1;
};

}  // namespace refnorm::train
