#include <set>

#include <gtest/gtest.h>

#include <refnorm/base/error.h>
#include <refnorm/data/image_set.h>

#include "tests/base/helpers.h"

namespace refnorm::data {
namespace {

/// Sample i is the 1x1 picture of value i and has label i mod 10.
class Numbers : public ImageSet {
 public:
  explicit Numbers(std::int64_t count) : count_(count) {}
  std::int64_t size() const override { return count_; }
  std::int64_t label(std::int64_t index) const override { return index % 10; }
  Batch batch(std::span<const std::int64_t> indices) const override {
    const torch::Tensor values = torch::tensor(std::vector<std::int64_t>(indices.begin(), indices.end()));
    return {values.to(torch::kFloat).view({-1, 1, 1, 1}), values.remainder(10)};
  }
  std::int64_t channels() const override { return 1; }
  const std::vector<std::string>& class_names() const override { return names_; }

 private:
  std::int64_t count_;
  std::vector<std::string> names_ = std::vector<std::string>(10, "n");
};

std::multiset<std::int64_t> values_of(const ImageSet& set) {
  std::multiset<std::int64_t> values;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const std::vector<std::int64_t> one{i};
    values.insert(static_cast<std::int64_t>(set.batch(one).images.item<float>()));
  }
  return values;
}

TEST(HoldOut, DividesTheTrainingSet) {
  const auto all = std::make_shared<Numbers>(100);
  const Splits splits = hold_out(all, all, 30);
  EXPECT_EQ(splits.train->size(), 70);
  EXPECT_EQ(splits.validation->size(), 30);
  auto both = values_of(*splits.train);
  both.merge(values_of(*splits.validation));
  EXPECT_EQ(both, values_of(*all)) << "each sample in exactly one part";
  EXPECT_EQ(values_of(*hold_out(all, all, 30).validation), values_of(*splits.validation))
      << "the same draw each time";
  EXPECT_EQ(hold_out(all, all, 0).validation->size(), 0);
}

TEST(HoldOut, RefusesToTakeAll) {
  const auto all = std::make_shared<Numbers>(10);
  EXPECT_THROW(hold_out(all, all, 10), UserError);
  EXPECT_THROW(hold_out(all, all, -1), UserError);
}

}  // namespace
}  // namespace refnorm::data
