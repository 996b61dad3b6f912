#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>

#include <refnorm/base/timing.h>
#include <refnorm/data/image_set.h>
#include <refnorm/metrics/tally.h>
#include <refnorm/norms/capture.h>
#include <refnorm/train/compute.h>
#include <refnorm/train/network.h>
#include <refnorm/train/optimizer.h>
#include <refnorm/train/settings.h>

namespace refnorm::train {

/// The parts of a training step whose times are reported.
enum Phase : std::size_t { kData, kReference, kForward, kLoss, kBackward, kUpdate, kRecord, kOther, kPhases };
inline constexpr std::array<const char*, kPhases> kPhaseNames{"data",     "reference", "forward", "loss",
                                                              "backward", "update",    "record",  "other"};

/// One step of the optimizer: forward and backward passes over TrainSettings::accumulate batches, each
/// normalized by statistics of its own, and an update by the mean of their gradients. The reference is taken
/// anew before the first of them where it is due: between them, the weights stay the same.
class TrainingStep {
 public:
  TrainingStep(Network network, ReferenceKeeper& reference, const TrainSettings& settings,
               const Compute& compute);

  /// Takes its batches from `next`. Where a loss is not finite, nothing is updated, and `broken` is the
  /// layer: the first whose output was not finite, "input" or "loss".
  struct Done {
    metrics::Tally tally;
    std::optional<std::string> broken;
  };
  Done run(const std::function<data::Batch()>& next, double lr, PhaseClock<kPhases>& clock);

  /// By layer: the root of the sum of squares over its parameters' gradients, of the last step, before
  /// clipping.
  std::vector<std::pair<std::string, double>> gradient_norms() const;
  /// What the last step's gradients were multiplied by so that their norm is at most
  /// TrainSettings::clip_norm.
  double clipped_to() const { return clipped_to_; }

  Optimizer& optimizer() { return optimizer_; }

 private:
  std::string locate(const torch::Tensor& images);
  void clip();

  Network network_;
  ReferenceKeeper& reference_;
  std::int64_t accumulate_;
  double label_smoothing_, clip_norm_;
  Compute compute_;
  Optimizer optimizer_;
  double clipped_to_ = 1;
};

}  // namespace refnorm::train
