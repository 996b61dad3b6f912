#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/nn/module.h>
#include <torch/nn/utils/clip_grad.h>

#include <refnorm/base/interrupt.h>
#include <refnorm/train/training_step.h>

namespace refnorm::train {

TrainingStep::TrainingStep(torch::nn::Module& module, const TrainSettings& settings,
                           std::shared_ptr<Group> group, bool own_references)
    : module_(module),
      accumulate_(settings.accumulate),
      clip_norm_(settings.clip_norm),
      optimizer_(module, settings),
      group_(std::move(group)),
      joint_(settings.sync_statistics ? joint_statistics_of(group_)
                                      : c10::intrusive_ptr<ops::JointStatistics>()),
      buckets_(group_, module.parameters()),
      shared_(group_, module, own_references) {}

TrainingStep::Done TrainingStep::run(const std::function<Pass(bool)>& forward, double lr, StepClock& clock) {
  optimizer_.zero_grad();
  Done done = group_->size() == 1 ? run_alone(forward, clock) : run_together(forward, clock);
  if (!done.broken) update(lr, clock);
  return done;
}

TrainingStep::Done TrainingStep::run_alone(const std::function<Pass(bool)>& forward, StepClock& clock) {
  Done done;
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
  return done;
}

/// All processes go through the same exchanges, whatever has come up in one of them: a loss that is not
/// finite ends the step of all at its end.
TrainingStep::Done TrainingStep::run_together(const std::function<Pass(bool)>& forward, StepClock& clock) {
  const ops::SynchronizeStatistics synchronize(joint_);
  std::optional<std::string> broken;
  metrics::Tally own;
  torch::Tensor told;
  std::unique_ptr<Group::Pending> telling;
  for (std::int64_t batch = 0; batch < accumulate_; ++batch) {
    Pass pass = forward(batch == 0);
    clock.enter(kRecord);
    own.add(pass.tally);
    if (pass.broken && !broken) broken = pass.broken;
    if (batch + 1 == accumulate_) {
      std::vector<double> words{static_cast<double>(own.samples), static_cast<double>(own.correct),
                                own.loss_sum, broken ? 1.0 : 0.0, interrupted() ? 1.0 : 0.0};
      for (const auto& [part, sum] : own.part_sums) words.push_back(sum);
      told = torch::tensor(words, torch::kDouble);
      telling = group_->begin_sum(told);
      shared_.begin();
      buckets_.expect();
    }
    clock.enter(kBackward);
    // Gradients of what is not finite go nowhere, but joint statistics need everybody's.
    if (!broken || joint_ != nullptr) (pass.loss / (accumulate_ * group_->size())).backward();
  }
  clock.enter(kExchange);
  telling->wait();
  shared_.finish();
  buckets_.finish();
  const double* sums = told.data_ptr<double>();
  Done done;
  done.tally = {static_cast<std::int64_t>(sums[0]), static_cast<std::int64_t>(sums[1]), sums[2], {}};
  std::size_t at = 5;
  for (const auto& [part, sum] : own.part_sums) done.tally.part_sums[part] = sums[at++];
  done.stop = sums[4] > 0;
  if (sums[3] > 0) {
    for (const std::string& layer : group_->gather(broken.value_or(""))) {
      if (!done.broken && !layer.empty()) done.broken = layer;
    }
  }
  return done;
}

void TrainingStep::update(double lr, StepClock& clock) {
  clock.enter(kUpdate);
  clip();
  optimizer_.set_lr(lr);
  optimizer_.step();
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
