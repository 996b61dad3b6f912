#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/torch.h>

#include <refnorm/metrics/classification.h>
#include <refnorm/ops/tap.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/training_step.h>

namespace refnorm::train {
namespace {

using torch::Tensor;

bool all_finite(const Tensor& tensor) {
  return torch::isfinite(tensor).all().item<bool>();
}

}  // namespace

TrainingStep::TrainingStep(Network network, ReferenceKeeper& reference, const TrainSettings& settings,
                           const Compute& compute)
    : network_(std::move(network)),
      reference_(reference),
      accumulate_(settings.accumulate),
      label_smoothing_(settings.label_smoothing),
      clip_norm_(settings.clip_norm),
      compute_(compute),
      optimizer_(*network_.module, settings) {}

TrainingStep::Done TrainingStep::run(const std::function<data::Batch()>& next, double lr,
                                     PhaseClock<kPhases>& clock) {
  Done done;
  optimizer_.zero_grad();
  for (std::int64_t pass = 0; pass < accumulate_; ++pass) {
    clock.enter(kData);
    const data::Batch batch = next();
    const Tensor labels = batch.labels.to(compute_.device);
    Tensor scores;
    {
      const Bfloat16Scope precision(compute_.bfloat16, compute_.device);
      clock.enter(kReference);
      if (pass == 0) reference_.prepare();
      clock.enter(kForward);
      scores = reference_.forward_only(compute_.place(batch.images)).to(torch::kFloat);
    }
    clock.enter(kLoss);
    const Tensor loss = torch::nn::functional::cross_entropy(
        scores, labels, torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(label_smoothing_));
    const auto loss_value = loss.item<double>();
    if (!std::isfinite(loss_value)) {
      done.broken = locate(compute_.place(batch.images));
      return done;
    }
    clock.enter(kBackward);
    (accumulate_ == 1 ? loss : loss / accumulate_).backward();
    clock.enter(kRecord);
    done.tally.add(labels.size(0), metrics::count_correct(scores.detach(), labels), loss_value);
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
  const double norm = torch::nn::utils::clip_grad_norm_(network_.module->parameters(), clip_norm_);
  clipped_to_ = std::min(1.0, clip_norm_ / norm);
}

std::vector<std::pair<std::string, double>> TrainingStep::gradient_norms() const {
  std::vector<std::pair<std::string, double>> norms;
  for (const auto& item : network_.module->named_parameters()) {
    if (!item.value().grad().defined()) continue;
    const std::string layer = item.key().substr(0, item.key().rfind('.'));
    const double norm = item.value().grad().norm().item<double>() / clipped_to_;
    if (norms.empty() || norms.back().first != layer) norms.emplace_back(layer, 0);
    norms.back().second = std::hypot(norms.back().second, norm);
  }
  return norms;
}

/// The weights are still those that gave the loss: runs the batch again and watches each layer.
std::string TrainingStep::locate(const Tensor& images) {
  const torch::NoGradGuard no_grad;
  if (!all_finite(images)) return "input";
  std::optional<std::string> found;
  const ops::ObserveTaps observe([&](std::string_view layer, const Tensor& output) {
    if (!found && !all_finite(output)) found = layer;
  });
  const Bfloat16Scope precision(compute_.bfloat16, compute_.device);
  reference_.forward_only(images);
  return found.value_or("loss");
}

}  // namespace refnorm::train
