#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/data/image_set.h>

namespace refnorm::data {
namespace {

/// No draw of a set's make-up depends on the seed of a run.
constexpr std::uint64_t kSameForEverySeed = 0;

torch::Tensor per_channel(const std::vector<float>& numbers) {
  return torch::tensor(numbers).view({-1, 1, 1});
}

class Subset : public ImageSetView {
 public:
  Subset(std::shared_ptr<const ImageSet> all, std::vector<std::int64_t> indices)
      : ImageSetView(std::move(all)), indices_(std::move(indices)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  std::int64_t label(std::int64_t index) const override { return all().label(at(index)); }
  std::int64_t group(std::int64_t index) const override { return all().group(at(index)); }
  Batch batch(std::span<const std::int64_t> indices) const override { return all().batch(inner(indices)); }
  Batch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const override {
    return all().training_batch(inner(indices), epoch);
  }

 private:
  std::vector<std::int64_t> inner(std::span<const std::int64_t> indices) const {
    std::vector<std::int64_t> found;
    found.reserve(indices.size());
    for (const std::int64_t index : indices) found.push_back(at(index));
    return found;
  }
  std::int64_t at(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }

  std::vector<std::int64_t> indices_;
};

}  // namespace

torch::Tensor PixelScale::pixels(const torch::Tensor& values) const {
  return values * per_channel(deviation) + per_channel(mean);
}

torch::Tensor PixelScale::values(const torch::Tensor& pixels) const {
  return (pixels - per_channel(mean)) / per_channel(deviation);
}

Batch ImageSet::training_batch(std::span<const std::int64_t> indices, std::int64_t) const {
  return batch(indices);
}

std::int64_t ImageSet::group(std::int64_t) const {
  fail("the set's samples are not in groups");
}

std::vector<std::int64_t> labels_of(const ImageSet& set) {
  std::vector<std::int64_t> labels;
  labels.reserve(static_cast<std::size_t>(set.size()));
  for (std::int64_t i = 0; i < set.size(); ++i) labels.push_back(set.label(i));
  return labels;
}

std::vector<std::int64_t> groups_of(const ImageSet& set) {
  if (set.grouping() == nullptr) return {};
  std::vector<std::int64_t> groups;
  groups.reserve(static_cast<std::size_t>(set.size()));
  for (std::int64_t i = 0; i < set.size(); ++i) groups.push_back(set.group(i));
  return groups;
}

std::shared_ptr<const ImageSet> subset(std::shared_ptr<const ImageSet> all,
                                       std::vector<std::int64_t> indices) {
  return std::make_shared<Subset>(std::move(all), std::move(indices));
}

Splits hold_out(std::shared_ptr<const ImageSet> train, std::shared_ptr<const ImageSet> test,
                std::int64_t validation) {
  if (validation < 0 || validation >= train->size()) {
    user_error("data.validation: {} samples cannot be held out of {} training samples", validation,
               train->size());
  }
  std::vector<std::int64_t> order = RandomStream(kSameForEverySeed, "validation").permutation(train->size());
  std::vector<std::int64_t> held(order.begin(), order.begin() + validation);
  order.erase(order.begin(), order.begin() + validation);
  return {subset(train, std::move(order)), subset(train, std::move(held)), std::move(test)};
}

std::shared_ptr<const ImageSet> limit(std::shared_ptr<const ImageSet> train, std::int64_t samples) {
  if (samples < 0 || samples > train->size()) {
    user_error(
        "data.samples: {} samples, expected 1 to {} (the training set, validation held out), or 0 for all",
        samples, train->size());
  }
  if (samples == 0) return train;
  std::vector<std::int64_t> drawn = RandomStream(kSameForEverySeed, "samples").permutation(train->size());
  drawn.resize(static_cast<std::size_t>(samples));
  return subset(std::move(train), std::move(drawn));
}

}  // namespace refnorm::data
