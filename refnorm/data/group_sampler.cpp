#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/data/group_sampler.h>

namespace refnorm::data {

GroupSampler::GroupSampler(const EpochTask& task, const Indices& groups, const std::string& kind)
    : EpochSampler(task), groups_(by_value(groups)) {
  std::int64_t largest = 0;
  for (const Indices& group : groups_) {
    const auto size = static_cast<std::int64_t>(group.size());
    largest = std::max(largest, size);
    batches_ += size / task.batch_size;
    if (size < task.batch_size) never_drawn_ += size;
  }
  if (batches_ == 0) {
    user_error(
        "train.batch_size: {} samples, and the largest {} of the training set has {}, expected at most that",
        task.batch_size, kind, largest);
  }
}

Indices GroupSampler::order(RandomStream& random) const {
  std::vector<Indices> batches;
  for (const Indices& group : groups_) {
    const Indices samples = shuffled(group, random);
    for (auto left = samples.begin(); samples.end() - left >= batch_size(); left += batch_size())
      batches.emplace_back(left, left + batch_size());
  }
  Indices all;
  for (const std::int64_t place : random.permutation(batches_)) {
    const Indices& batch = batches[static_cast<std::size_t>(place)];
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

}  // namespace refnorm::data
