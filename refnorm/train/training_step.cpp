#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/torch.h>

#include <refnorm/train/training_step.h>

namespace refnorm::train {

TrainingStep::TrainingStep(torch::nn::Module& module, const TrainSettings& settings)
    : module_(module),
      accumulate_(settings.accumulate),
      clip_norm_(settings.clip_norm),
      optimizer_(module, settings) {}

TrainingStep::Done TrainingStep::run(const std::function<Pass(bool)>& forward, double lr, StepClock& clock) {
  Done done;
  optimizer_.zero_grad();
  for (std::int64_t batch = 0; batch < accumulate_; ++batch) {
    Pass pass = forward(batch == 0);
    if (pass.broken) {
      done.broken = std::move(pass.broken);
      return done;
    }
    clock.enter(kBackward);
    (accumulate_ == 1 ? pass.loss : pass.loss / accumulate_).backward();
    clock.enter(kRecord);
    done.tally.add(pass.tally);
  }
  clock.enter(kUpdate);
  clip();
  optimizer_.set_lr(lr);
  optimizer_.step();
  return done;
}

void TrainingStep::clip() {
  clipped_to_ = 1;
  if (clip_norm_ == 0) return;
  const double norm = torch::nn::utils::clip_grad_norm_(module_.parameters(), clip_norm_);
  clipped_to_ = std::min(1.0, clip_norm_ / norm);
}

std::vector<std::pair<std::string, double>> TrainingStep::gradient_norms() const {
  std::vector<std::pair<std::string, double>> norms;
  for (const auto& item : module_.named_parameters()) {
    if (!item.value().grad().defined()) continue;
    const std::string layer = item.key().substr(0, item.key().rfind('.'));
    const double norm = item.value().grad().norm().item<double>() / clipped_to_;
    if (norms.empty() || norms.back().first != layer) norms.emplace_back(layer, 0);
    norms.back().second = std::hypot(norms.back().second, norm);
  }
  return norms;
}

}  // namespace refnorm::train
