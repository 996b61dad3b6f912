#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/data/image_set.h>

namespace refnorm::data {
namespace {

class Subset : public ImageSet {
 public:
  Subset(std::shared_ptr<const ImageSet> all, std::vector<std::int64_t> indices)
      : all_(std::move(all)), indices_(std::move(indices)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  std::int64_t label(std::int64_t index) const override { return all_->label(at(index)); }
  Batch batch(std::span<const std::int64_t> indices) const override {
    std::vector<std::int64_t> inner;
    inner.reserve(indices.size());
    for (const std::int64_t index : indices) inner.push_back(at(index));
    return all_->batch(inner);
  }
  std::int64_t channels() const override { return all_->channels(); }
  const std::vector<std::string>& class_names() const override { return all_->class_names(); }

 private:
  std::int64_t at(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }

  std::shared_ptr<const ImageSet> all_;
  std::vector<std::int64_t> indices_;
};

}  // namespace

std::vector<std::int64_t> labels_of(const ImageSet& set) {
  std::vector<std::int64_t> labels;
  labels.reserve(static_cast<std::size_t>(set.size()));
  for (std::int64_t i = 0; i < set.size(); ++i) labels.push_back(set.label(i));
  return labels;
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
  constexpr std::uint64_t kSameForEverySeed = 0;
  std::vector<std::int64_t> order = RandomStream(kSameForEverySeed, "validation").permutation(train->size());
  std::vector<std::int64_t> held(order.begin(), order.begin() + validation);
  order.erase(order.begin(), order.begin() + validation);
  return {subset(train, std::move(order)), subset(train, std::move(held)), std::move(test)};
}

}  // namespace refnorm::data
