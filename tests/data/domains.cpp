#include <cmath>
#include <map>

#include <boost/math/distributions/chi_squared.hpp>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/data/domains.h>
#include <refnorm/data/transform.h>

#include "tests/base/helpers.h"
#include "tests/data/numbers.h"

namespace refnorm::data {
namespace {

using testing::Numbers;
using testing::user_error_of;

using Names = std::vector<std::string>;

const Names kAll{"plain", "inverted", "rotated", "noisy", "blurred"};

/// Pictures of 2 x 6 x 6 random pixels, shown as (pixel − mean) / deviation.
class RandomPictures : public Numbers {
 public:
  explicit RandomPictures(std::int64_t count, std::int64_t height = 6) : Numbers(count) {
    pixels_ = torch::rand({count, 2, height, 6}, at::detail::createCPUGenerator(4));
  }
  Batch batch(std::span<const std::int64_t> indices) const override {
    const Batch numbers = Numbers::batch(indices);
    return {pixel_scale().values(pixels_.index_select(0, numbers.images.flatten().to(torch::kLong))),
            numbers.labels};
  }
  std::int64_t channels() const override { return 2; }
  std::int64_t side() const override { return pixels_.size(2); }
  PixelScale pixel_scale() const override { return {{0.25F, 0.5F}, {0.5F, 0.125F}}; }
  torch::Tensor pixels(std::int64_t index) const { return pixels_[index]; }

 private:
  torch::Tensor pixels_;
};

torch::Tensor shown(const ImageSet& set, std::int64_t index) {
  const std::vector<std::int64_t> one{index};
  return set.batch(one).images[0];
}

std::map<std::string, std::int64_t> shares(const ImageSet& set) {
  std::map<std::string, std::int64_t> found;
  for (const std::int64_t group : groups_of(set))
    ++found[set.grouping()->names[static_cast<std::size_t>(group)]];
  return found;
}

TEST(WithDomains, ChangesPixelsAndNotWhatTheyBecame) {
  const auto pictures = std::make_shared<RandomPictures>(60);
  const auto set = with_domains(pictures, kAll, "train");
  EXPECT_EQ(set->grouping()->kind, "domain");
  EXPECT_EQ(set->grouping()->names, kAll);
  std::map<std::string, int> seen;
  for (std::int64_t i = 0; i < 60; ++i) {
    const std::string& domain = kAll[static_cast<std::size_t>(set->group(i))];
    const torch::Tensor before = pictures->pixels(i);
    const torch::Tensor after = pictures->pixel_scale().pixels(shown(*set, i));
    torch::Tensor expected = before;
    if (domain == "inverted") expected = 1 - before;
    if (domain == "rotated") expected = torch::rot90(before, 1, {1, 2});
    if (domain == "blurred") expected = blurred(before, 1.5);
    if (domain == "noisy") {
      EXPECT_GE(after.min().item<float>(), -1e-6);
      EXPECT_LE(after.max().item<float>(), 1 + 1e-6);
      EXPECT_GT((after - before).abs().mean().item<double>(), 0.05);
    } else {
      EXPECT_LT((after - expected).abs().max().item<double>(), 1e-6) << domain;
    }
    EXPECT_EQ(set->label(i), i % 10);
    ++seen[domain];
  }
  EXPECT_EQ(seen.size(), 5U);
}

// The deviation of the noise before it is cut off at 0 and 1: among values of grey 0.5 that is 0.3 where |n|
// < 5/3, so the share of those cut off is P(|n| > 5/3) = 0.0956.
TEST(WithDomains, HasNoiseOfItsOwnForEachSampleTheSameAtEveryReading) {
  class Grey : public Numbers {
   public:
    using Numbers::Numbers;
    Batch batch(std::span<const std::int64_t> indices) const override {
      return {torch::full({static_cast<std::int64_t>(indices.size()), 1, 28, 28}, 0.5F),
              Numbers::batch(indices).labels};
    }
  };
  const auto grey = std::make_shared<Grey>(100);
  const auto set = with_domains(grey, {"noisy"}, "train");
  std::vector<std::int64_t> forward(100);
  std::iota(forward.begin(), forward.end(), 0);
  const std::vector<std::int64_t> backward(forward.rbegin(), forward.rend());
  const torch::Tensor noise = set->batch(forward).images;
  EXPECT_TRUE(torch::equal(noise.flip({0}), set->batch(backward).images));
  EXPECT_TRUE(torch::equal(noise, with_domains(grey, {"noisy"}, "train")->batch(forward).images));
  EXPECT_FALSE(torch::equal(noise[0], noise[1]));
  EXPECT_FALSE(torch::equal(noise[0], shown(*with_domains(grey, {"noisy"}, "test"), 0)));
  const double n = 78400;
  const double cut = ((noise == 0) | (noise == 1)).to(torch::kDouble).mean().item<double>();
  EXPECT_NEAR(cut, 0.09558, 4 * std::sqrt(0.0956 * 0.9044 / n));
}

TEST(WithDomains, DrawsDomainsUniformlyAndForEachPartAnew) {
  const auto numbers = std::make_shared<Numbers>(100000);
  const auto set = with_domains(numbers, kAll, "train");
  double sum = 0;
  for (const auto& [domain, count] : shares(*set))
    sum += (static_cast<double>(count) - 20000) * (static_cast<double>(count) - 20000) / 20000;
  EXPECT_EQ(shares(*set).size(), 5U);
  const boost::math::chi_squared distribution(4);
  EXPECT_LT(sum, boost::math::quantile(boost::math::complement(distribution, 1e-3)));
  EXPECT_EQ(groups_of(*set), groups_of(*with_domains(numbers, kAll, "train")));
  EXPECT_NE(groups_of(*set), groups_of(*with_domains(numbers, kAll, "test")));
}

TEST(WithDomains, ASampleKeepsItsDomainHoweverTheSetIsCut) {
  const auto pictures = std::make_shared<RandomPictures>(200);
  const auto all = with_domains(pictures, kAll, "train");
  const Splits splits = hold_out(all, with_domains(pictures, kAll, "test"), 50);
  const auto train = limit(splits.train, 70);
  for (const auto& part : {train, splits.validation}) {
    ASSERT_NE(part->grouping(), nullptr);
    EXPECT_EQ(shares(*part).size(), 5U);
    for (std::int64_t i = 0; i < part->size(); ++i) {
      std::int64_t same = 0;  // the sample that it is in the whole set, found by its picture
      while (!torch::equal(shown(*all, same), shown(*part, i))) ASSERT_LT(++same, 200);
      ASSERT_EQ(part->group(i), all->group(same));
    }
  }
  EXPECT_EQ(shares(*splits.test).size(), 5U);
}

TEST(WithDomains, SaysWhatIsWrong) {
  const auto square = std::make_shared<RandomPictures>(10);
  EXPECT_EQ(user_error_of([&] {
              with_domains(square, {"plain", "rotatd"}, "train");
            }),
            "data.domains: 'rotatd' is not known, did you mean 'rotated'?");
  EXPECT_EQ(user_error_of([&] {
              with_domains(square, {"plain", "plain"}, "train");
            }),
            "data.domains: 'plain' is listed twice");
  EXPECT_EQ(user_error_of([&] { with_domains(square, {}, "train"); }),
            "data.domains: the list is empty, expected at least one domain");
  const auto flat = with_domains(std::make_shared<RandomPictures>(10, 4), {"rotated"}, "train");
  EXPECT_EQ(user_error_of([&] { shown(*flat, 0); }),
            "data.domains: rotated: pictures of 4 x 6 cannot be turned, expected square ones");
}

}  // namespace
}  // namespace refnorm::data
