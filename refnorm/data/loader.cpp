#include <algorithm>
#include <array>
#include <numeric>
#include <unordered_set>
#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/data/loader.h>

namespace refnorm::data {
namespace {

Batch made(const ImageSet& set, std::span<const std::int64_t> indices,
           const std::optional<std::int64_t>& epoch) {
  return epoch ? set.training_batch(indices, *epoch) : set.batch(indices);
}

[[noreturn]] void none_readable(const ImageSet& set) {
  const std::vector<Unreadable> all = set.unreadable();
  user_error("none of {} pictures can be read{}", set.size(),
             all.empty() ? "" : ", such as " + all.front().file + ": " + all.front().why);
}

/// Looks for samples in the place of those that cannot be read.
class Replacement {
 public:
  Replacement(const ImageSet& set, const BatchOrder& order)
      : set_(set), epoch_(order.epoch), taken_(order.indices.begin(), order.indices.end()) {}

  /// The sample in the place of `index`, and its batch of one.
  std::pair<std::int64_t, Batch> find(std::int64_t index) {
    const auto same_label = [&](std::int64_t other) { return set_.label(other) == set_.label(index); };
    const auto alike = [&](std::int64_t other) {
      return !taken_.contains(other) && same_label(other) &&
             (set_.grouping() == nullptr || set_.group(other) == set_.group(index));
    };
    if (auto found = first(index, alike)) return *found;
    if (auto found = first(index, same_label)) return *found;
    if (auto found = first(index, [](std::int64_t) { return true; })) return *found;
    none_readable(set_);
  }

 private:
  template <class Wanted>
  std::optional<std::pair<std::int64_t, Batch>> first(std::int64_t index, const Wanted& wanted) {
    for (std::int64_t step = 1; step < set_.size(); ++step) {
      const std::int64_t other = (index + step) % set_.size();
      if (unreadable_.contains(other) || !wanted(other)) continue;
      const std::array<std::int64_t, 1> one{other};
      Batch batch = made(set_, one, epoch_);
      if (batch.missing.empty()) {
        taken_.insert(other);
        return std::pair(other, std::move(batch));
      }
      unreadable_.insert(other);
    }
    return std::nullopt;
  }

  const ImageSet& set_;
  const std::optional<std::int64_t>& epoch_;
  std::unordered_set<std::int64_t> taken_, unreadable_;
};

void replace(const ImageSet& set, const BatchOrder& order, const std::vector<std::int64_t>& missing,
             LoadedBatch& batch) {
  Replacement replacement(set, order);
  for (const std::int64_t place : missing) {
    const auto [index, one] = replacement.find(order.indices[static_cast<std::size_t>(place)]);
    batch.images[place].copy_(one.images[0]);
    batch.labels[place].copy_(one.labels[0]);
    batch.indices[static_cast<std::size_t>(place)] = index;
  }
}

void leave_out(const std::vector<std::int64_t>& missing, LoadedBatch& batch) {
  std::vector<std::int64_t> kept;
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < batch.labels.size(0); ++i) {
    if (std::binary_search(missing.begin(), missing.end(), i)) continue;
    kept.push_back(i);
    indices.push_back(batch.indices[static_cast<std::size_t>(i)]);
  }
  const torch::Tensor places = torch::tensor(kept, torch::kLong);
  batch.images = batch.images.index_select(0, places);
  batch.labels = batch.labels.index_select(0, places);
  batch.indices = std::move(indices);
}

}  // namespace

LoadedBatch load_batch(const ImageSet& set, const BatchOrder& order) {
  Batch raw = made(set, order.indices, order.epoch);
  LoadedBatch batch{std::move(raw.images), std::move(raw.labels), order.indices};
  if (raw.missing.empty()) return batch;
  if (order.missing == BatchOrder::Missing::kReplace)
    replace(set, order, raw.missing, batch);
  else
    leave_out(raw.missing, batch);
  return batch;
}

Loader::Loader(const ImageSet& set, std::int64_t batches, Plan plan, std::int64_t workers)
    : set_(set),
      none_(batches > 0),
      batches_(
          batches, std::move(plan), [&set](const BatchOrder& order) { return load_batch(set, order); },
          workers) {}

std::optional<LoadedBatch> Loader::next() {
  while (auto batch = batches_.next()) {
    if (batch->labels.size(0) == 0) continue;
    none_ = false;
    return batch;
  }
  if (none_) none_readable(set_);
  return std::nullopt;
}

BatchPlan evaluation_plan(std::int64_t samples, std::int64_t batch_size, Share share) {
  return [samples, batch_size, share](std::int64_t own) {
    const std::int64_t place = own * share.of + share.rank;
    BatchOrder order{{}, std::nullopt, BatchOrder::Missing::kLeaveOut};
    order.indices.resize(static_cast<std::size_t>(std::min(batch_size, samples - place * batch_size)));
    std::iota(order.indices.begin(), order.indices.end(), place * batch_size);
    return order;
  };
}

std::int64_t evaluation_batches(std::int64_t samples, std::int64_t batch_size, Share share) {
  return share.part((samples + batch_size - 1) / batch_size);
}

Loader evaluation_loader(const ImageSet& set, std::int64_t samples, std::int64_t batch_size,
                         std::int64_t workers, Share share) {
  return {set, evaluation_batches(samples, batch_size, share), evaluation_plan(samples, batch_size, share),
          workers};
}

Loader epoch_loader(const ImageSet& set, Sampler& sampler, std::int64_t epoch, std::int64_t batches,
                    std::int64_t workers, Share share) {
  const auto plan = [&sampler, epoch, share](std::int64_t own) {
    return BatchOrder{sampler.batch(epoch, own * share.of + share.rank), epoch};
  };
  return {set, share.part(std::min(batches, sampler.batches_per_epoch())), plan, workers};
}

BatchPlan training_plan(Sampler& sampler, const StepPlan& steps, std::int64_t first_step, Share share) {
  return [&sampler, steps, first_step, share](std::int64_t place) {
    const std::int64_t own = steps.per_step / share.of;
    const std::int64_t step = first_step + place / own;
    return BatchOrder{steps.batch(sampler, step, place % own * share.of + share.rank), steps.epoch(step)};
  };
}

}  // namespace refnorm::data
