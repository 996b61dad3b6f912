#include <map>
#include <utility>

#include <refnorm/data/epoch_sampler.h>

namespace refnorm::data {

Indices EpochSampler::batch(std::int64_t epoch, std::int64_t place) {
  if (epoch != epoch_) {
    RandomStream random(task_.seed, "order", static_cast<std::uint64_t>(epoch));
    order_ = order(random);
    epoch_ = epoch;
  }
  const auto begin = order_.begin() + place * task_.batch_size;
  return {begin, begin + task_.batch_size};
}

std::vector<Indices> by_value(const Indices& values) {
  std::map<std::int64_t, Indices> found;
  for (std::size_t i = 0; i < values.size(); ++i) found[values[i]].push_back(static_cast<std::int64_t>(i));
  std::vector<Indices> groups;
  for (auto& [value, places] : found) groups.push_back(std::move(places));
  return groups;
}

Indices shuffled(const Indices& values, RandomStream& random) {
  Indices result;
  result.reserve(values.size());
  for (const std::int64_t place : random.permutation(static_cast<std::int64_t>(values.size())))
    result.push_back(values[static_cast<std::size_t>(place)]);
  return result;
}

}  // namespace refnorm::data
