#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include <refnorm/base/error.h>
#include <refnorm/data/image_set.h>

#include "tests/base/helpers.h"
#include "tests/data/numbers.h"

namespace refnorm::data {
namespace {

using testing::Numbers;

std::multiset<std::int64_t> values_of(const ImageSet& set) {
  std::multiset<std::int64_t> values;
  for (std::int64_t i = 0; i < set.size(); ++i) values.insert(testing::value_of(set, i));
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

TEST(Limit, DrawsTheSameSamplesEachTime) {
  const auto all = std::make_shared<Numbers>(1000);
  const auto some = limit(all, 100);
  const auto drawn = values_of(*some);
  EXPECT_EQ(some->size(), 100);
  EXPECT_EQ(std::set<std::int64_t>(drawn.begin(), drawn.end()).size(), 100U) << "no sample twice";
  EXPECT_GT(*drawn.rbegin(), 800) << "from all of the set";
  EXPECT_EQ(values_of(*limit(all, 100)), drawn);
  const auto more = values_of(*limit(all, 200));
  EXPECT_TRUE(std::includes(more.begin(), more.end(), drawn.begin(), drawn.end()));
  EXPECT_EQ(limit(all, 0), all);
  EXPECT_EQ(limit(all, 1000)->size(), 1000);
}

TEST(Limit, RefusesMoreThanThereAre) {
  const auto all = std::make_shared<Numbers>(10);
  EXPECT_EQ(
      testing::user_error_of([&] { limit(all, 11); }),
      "data.samples: 11 samples, expected 1 to 10 (the training set, validation held out), or 0 for all");
}

TEST(PixelScale, GoesThereAndBack) {
  const PixelScale grey{{0.5F}, {0.25F}};
  EXPECT_TRUE(torch::equal(grey.values(torch::tensor({0.0F, 0.5F, 1.0F}).view({1, 1, 3})),
                           torch::tensor({-2.0F, 0.0F, 2.0F}).view({1, 1, 3})));
  const PixelScale colour{{0, 0.5F, 1}, {1, 2, 4}};
  const torch::Tensor values = torch::ones({2, 3, 1, 1});
  EXPECT_TRUE(torch::equal(colour.pixels(values)[1].flatten(), torch::tensor({1.0F, 2.5F, 5.0F})));
  EXPECT_TRUE(torch::equal(colour.values(colour.pixels(values)), values));
}

}  // namespace
}  // namespace refnorm::data
