#include <algorithm>

#include <refnorm/data/sampler.h>

namespace refnorm::data {

StepPlan::Change StepPlan::change_before(std::int64_t step) const {
  Change last{0, 0, 0, per_step};
  for (const Change& change : changes) {
    if (change.step <= step) last = change;
  }
  return last;
}

StepPlan::Place StepPlan::place(std::int64_t step) const {
  const Change from = change_before(step);
  const std::int64_t on = step - from.step;
  const std::int64_t left = (batches_per_epoch - from.batch) / from.per_step;  // steps of the begun epoch
  if (on < left) return {from.epoch, from.batch + on * from.per_step, from.per_step};
  const std::int64_t whole = batches_per_epoch / from.per_step;
  return {from.epoch + 1 + (on - left) / whole, (on - left) % whole * from.per_step, from.per_step};
}

std::int64_t StepPlan::steps(std::int64_t epochs) const {
  const Change from = changes.empty() ? Change{0, 0, 0, per_step} : changes.back();
  if (from.epoch >= epochs) return from.step;
  return from.step + (batches_per_epoch - from.batch) / per_step +
         (epochs - from.epoch - 1) * steps_per_epoch();
}

std::int64_t StepPlan::batches_before(std::int64_t step) const {
  if (changes.empty()) return step * per_step;
  std::int64_t batches = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const std::int64_t end = i + 1 < changes.size() ? std::min(step, changes[i + 1].step) : step;
    batches += std::max<std::int64_t>(0, end - changes[i].step) * changes[i].per_step;
  }
  return batches;
}

std::int64_t StepPlan::as_if_unchanged(std::int64_t step) const {
  if (changes.empty()) return step;
  const Place at = place(step);
  return at.epoch * steps_per_epoch() + at.batch / per_step;
}

void StepPlan::change(std::int64_t step, std::int64_t batches_a_step) {
  const Place at = place(step);
  if (changes.empty()) changes.push_back({0, 0, 0, per_step});
  changes.push_back({step, at.epoch, at.batch, batches_a_step});
  per_step = batches_a_step;
}

}  // namespace refnorm::data
