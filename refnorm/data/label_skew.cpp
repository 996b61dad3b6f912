#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <refnorm/data/label_skew.h>

namespace refnorm::data {

LabelSkew::LabelSkew(std::vector<std::int64_t> labels) {
  std::map<std::int64_t, std::size_t> places;
  for (const std::int64_t label : labels) places.try_emplace(label, places.size());
  share_.resize(places.size());
  for (const std::int64_t label : labels) {
    place_.push_back(places.at(label));
    share_[place_.back()] += 1 / static_cast<double>(labels.size());
  }
}

Skew LabelSkew::of(std::span<const std::int64_t> indices) const {
  std::vector<double> count(share_.size());
  for (const std::int64_t index : indices) ++count[place_[static_cast<std::size_t>(index)]];
  Skew skew;
  for (std::size_t label = 0; label < count.size(); ++label) {
    if (count[label] == 0) continue;
    const double p = count[label] / static_cast<double>(indices.size());
    skew.entropy -= p * std::log2(p);
    skew.divergence += p * std::log2(p / share_[label]);
  }
  return skew;
}

Skew mean_skew(const LabelSkew& skew, Sampler& sampler) {
  constexpr std::int64_t kBatches = 1000;
  const std::int64_t batches = std::min(kBatches, sampler.batches_per_epoch());
  Skew mean;
  for (std::int64_t place = 0; place < batches; ++place) {
    const Skew one = skew.of(sampler.batch(0, place));
    mean.entropy += one.entropy / static_cast<double>(batches);
    mean.divergence += one.divergence / static_cast<double>(batches);
  }
  return mean;
}

Uses count_uses(Sampler& sampler, const StepPlan& plan, std::int64_t samples, std::int64_t steps) {
  std::vector<std::int64_t> uses(static_cast<std::size_t>(samples));
  for (std::int64_t step = 0; step < steps; ++step) {
    for (std::int64_t which = 0; which < plan.place(step).per_step; ++which) {
      for (const std::int64_t index : plan.batch(sampler, step, which))
        ++uses[static_cast<std::size_t>(index)];
    }
  }
  const auto [least, most] = std::minmax_element(uses.begin(), uses.end());
  const auto sum = std::accumulate(uses.begin(), uses.end(), std::int64_t{0});
  return {*least, *most, std::count(uses.begin(), uses.end(), 0),
          static_cast<double>(sum) / static_cast<double>(samples)};
}

}  // namespace refnorm::data
