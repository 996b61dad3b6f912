#include <algorithm>
#include <cmath>
#include <numbers>

#include <refnorm/train/schedule.h>

namespace refnorm::train {

double Schedule::at(std::int64_t step) const {
  const double warmup_steps = warmup_epochs * static_cast<double>(steps_per_epoch);
  const auto now = static_cast<double>(step);
  // The first step of a warm-up already moves: rate 1/w of the way, and the full rate at step w.
  const double warm = now < warmup_steps ? (now + 1) / (warmup_steps + 1) : 1.0;
  double rate = lr;
  if (kind == "multistep") {
    const std::int64_t epoch = step / steps_per_epoch;
    const auto passed =
        std::count_if(milestones.begin(), milestones.end(), [&](auto at) { return epoch >= at; });
    rate = lr * std::pow(gamma, static_cast<double>(passed));
  } else if (kind == "cosine") {
    const double total = static_cast<double>(epochs * steps_per_epoch) - warmup_steps;
    const double done = total > 0 ? std::clamp((now - warmup_steps) / total, 0.0, 1.0) : 1.0;
    rate = final_lr + (lr - final_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
  }
  return rate * warm;
}

}  // namespace refnorm::train
