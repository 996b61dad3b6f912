#include <algorithm>
#include <unordered_set>
#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/data/detection_loader.h>
#include <refnorm/data/group_sampler.h>

namespace refnorm::data {
namespace {

[[noreturn]] void none_readable(const DetectionSet& set) {
  const std::vector<Unreadable> all = set.unreadable();
  user_error("none of {} pictures can be read{}", set.size(),
             all.empty() ? "" : ", such as " + all.front().file + ": " + all.front().why);
}

bool wide(const DetectionSet& set, std::int64_t index) {
  return set.image(index).width > set.image(index).height;
}

/// The next picture behind `index` that is not among `used`.
std::int64_t next_behind(const DetectionSet& set, std::int64_t index,
                         const std::unordered_set<std::int64_t>& used) {
  for (const bool alike : {true, false}) {
    for (std::int64_t step = 1; step < set.size(); ++step) {
      const std::int64_t other = (index + step) % set.size();
      if (!used.contains(other) && (!alike || wide(set, other) == wide(set, index))) return other;
    }
  }
  none_readable(set);
}

}  // namespace

DetectionBatch load_batch(const DetectionSet& set, const BatchOrder& order) {
  std::vector<std::int64_t> indices = order.indices;
  std::unordered_set<std::int64_t> used(indices.begin(), indices.end());
  for (;;) {
    DetectionBatch batch = order.epoch ? set.training_batch(indices, *order.epoch) : set.batch(indices);
    if (batch.missing.empty()) return batch;
    // Others have other sizes, so that the batch is made again; it is rare.
    for (auto place = batch.missing.rbegin(); place != batch.missing.rend(); ++place) {
      if (order.missing == BatchOrder::Missing::kLeaveOut) {
        indices.erase(indices.begin() + *place);
      } else {
        std::int64_t& index = indices[static_cast<std::size_t>(*place)];
        index = next_behind(set, index, used);
        used.insert(index);
      }
    }
  }
}

DetectionLoader::DetectionLoader(const DetectionSet& set, std::int64_t batches, BatchPlan plan,
                                 std::int64_t workers)
    : set_(set),
      none_(batches > 0),
      batches_(
          batches, std::move(plan), [&set](const BatchOrder& order) { return load_batch(set, order); },
          workers) {}

std::optional<DetectionBatch> DetectionLoader::next() {
  while (auto batch = batches_.next()) {
    if (batch->indices.empty()) continue;
    none_ = false;
    return batch;
  }
  if (none_) none_readable(set_);
  return std::nullopt;
}

std::unique_ptr<Sampler> orientation_sampler(const DetectionSet& set, std::int64_t batch_size,
                                             std::uint64_t seed) {
  return std::make_unique<GroupSampler>(EpochTask{set.size(), batch_size, seed}, set.orientations(),
                                        "orientation of pictures");
}

}  // namespace refnorm::data
