#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/kernels/boxes.h>

namespace refnorm::kernels {
namespace {

using Indices = std::vector<std::int64_t>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> ious(const std::vector<float>& a, const std::vector<float>& b, bool over_first = false) {
  std::vector<float> out(a.size() * b.size() / 16, -1.0F);
  box_ious(a.data(), static_cast<std::int64_t>(a.size() / 4), b.data(),
           static_cast<std::int64_t>(b.size() / 4), over_first, out.data());
  return out;
}

// 4x4 beside 4x4, two columns shared: 8 of 24.
TEST(BoxIous, AreTheCommonPartOfTheCoveredOne) {
  EXPECT_EQ(ious({0, 0, 4, 4}, {2, 0, 6, 4, 0, 0, 4, 4, 4, 0, 8, 4}),
            (std::vector<float>{8.0F / 24.0F, 1, 0}));
  EXPECT_EQ(ious({0, 0, 4, 4}, {2, 0, 16, 4}, /*over_first=*/true), (std::vector<float>{0.5F}));
}

TEST(BoxIous, AreZeroOfWhatHasNoAreaOrIsNotFinite) {
  const std::vector<float> odd{1,    1, 1,         1, 3,          3,          1,         1,
                               kNan, 0, 4,         4, 0,          0,          4,         kNan,
                               0,    0, kInfinity, 4, -kInfinity, -kInfinity, kInfinity, kInfinity};
  const std::vector<float> whole{0, 0, 4, 4};
  EXPECT_EQ(ious(odd, whole), std::vector<float>(6, 0.0F));
  EXPECT_EQ(ious(whole, odd), std::vector<float>(6, 0.0F));
  EXPECT_EQ(ious(odd, odd), std::vector<float>(36, 0.0F));
}

// Overlaps are 3/5 between neighbours (4 wide, 1 apart), 1/3 over two.
TEST(Suppress, KeepsByScoreAndFirstOfEqualOnes) {
  const std::vector<float> boxes{0, 0, 4, 4, 1, 0, 5, 4, 2, 0, 6, 4, 2, 0, 6, 4};
  const auto keep = [&](std::vector<float> scores, double threshold, std::int64_t most = 9) {
    return suppress(boxes.data(), scores.data(), nullptr, 4, threshold, most);
  };
  EXPECT_EQ(keep({0.9F, 0.8F, 0.7F, 0.7F}, 0.5), (Indices{0, 2}));
  EXPECT_EQ(keep({0.9F, 0.95F, 0.7F, 0.7F}, 0.5), (Indices{1}));
  EXPECT_EQ(keep({0.5F, 0.5F, 0.5F, 0.5F}, 0.9), (Indices{0, 1, 2}));
  EXPECT_EQ(keep({0.5F, 0.5F, 0.5F, 0.5F}, 1.0), (Indices{0, 1, 2, 3})) << "an IoU of 1 is not above 1";
  EXPECT_EQ(keep({0.1F, 0.2F, 0.3F, 0.4F}, 0.9, 2), (Indices{3, 1}));
  EXPECT_EQ(keep({0.1F, kNan, 0.3F, kInfinity}, 0.9), (Indices{2, 0})) << "only finite scores";
}

// 0.6 as the division of floats has it: exactly at the threshold is kept, one unit below goes.
TEST(Suppress, ComparesAsInTheThresholdsOwnPrecision) {
  const std::vector<float> boxes{0, 0, 4, 4, 1, 0, 5, 4};
  const std::vector<float> scores{2, 1};
  const auto at = static_cast<double>(12.0F / 20.0F);
  EXPECT_EQ(suppress(boxes.data(), scores.data(), nullptr, 2, at, 9).size(), 2);
  EXPECT_EQ(suppress(boxes.data(), scores.data(), nullptr, 2, std::nextafter(at, 0.0), 9).size(), 1);
}

TEST(Suppress, GoesByGroupAndLeavesOutWhatIsNotFinite) {
  const std::vector<float> boxes{0, 0,    4, 4, 0, 0, 4,         4, 0, 0, 4, 4,
                                 0, kNan, 4, 4, 0, 0, kInfinity, 4, 5, 5, 5, 5};
  const std::vector<float> scores{1, 2, 3, 4, 5, 6};
  const Indices groups{7, -1, 7, 7, 3, 7};
  EXPECT_EQ(suppress(boxes.data(), scores.data(), groups.data(), 6, 0.5, 9), (Indices{5, 2, 1}))
      << "a box without area overlaps nothing";
  EXPECT_EQ(suppress(boxes.data(), scores.data(), groups.data(), 0, 0.5, 9), Indices{});
}

// More than a block of boxes, against the definition.
TEST(Suppress, EqualsTheDefinition) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(0, 60);
  constexpr std::int64_t kCount = 700;
  std::vector<float> boxes;
  std::vector<float> scores;
  Indices groups;
  for (std::int64_t i = 0; i < kCount; ++i) {
    const float x = uniform(random);
    const float y = uniform(random);
    boxes.insert(boxes.end(), {x, y, x + uniform(random) / 4, y + uniform(random) / 4});
    scores.push_back(std::floor(uniform(random)));  // ties
    groups.push_back(i % 3);
  }
  for (const double threshold : {0.1, 0.3, 0.7}) {
    Indices order(kCount);
    for (std::int64_t i = 0; i < kCount; ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
    const std::vector<float> all = ious(boxes, boxes);
    Indices kept;
    for (const std::int64_t i : order) {
      const bool gone = std::any_of(kept.begin(), kept.end(), [&](std::int64_t k) {
        return groups[k] == groups[i] && static_cast<double>(all[k * kCount + i]) > threshold;
      });
      if (!gone) kept.push_back(i);
    }
    EXPECT_EQ(suppress(boxes.data(), scores.data(), groups.data(), kCount, threshold, kCount), kept);
    EXPECT_GT(kept.size(), 96) << "more than one block of 32 in a group";
  }
}

TEST(Highest, AreSortedAndStable) {
  const std::vector<float> scores{1, 3, kNan, 3, 2, -kInfinity, 3};
  EXPECT_EQ(highest(scores.data(), 7, 2), (Indices{1, 3}));
  EXPECT_EQ(highest(scores.data(), 7, 99), (Indices{1, 3, 6, 4, 0}));
  EXPECT_EQ(highest(scores.data(), 7, 0), Indices{});
}

TEST(MatchBoxes, TakesTheBestTruthAboveAThreshold) {
  const std::vector<float> table{0.8F, 0.8F, 0.2F, 0.6F, 0.5F, 0.1F, 0.29F, 0.0F, 0.0F, 0.3F};
  EXPECT_EQ(match_boxes(table.data(), 5, 2, {0.5, 0.3, false}), (Indices{0, 1, 0, kBackground, kBetween}));
  EXPECT_EQ(match_boxes(table.data(), 5, 0, {0.5, 0.3, true}), Indices(5, kBackground));
}

// Truth 1 is best overlapped, by 0.2, by boxes 1 and 2; the second of them overlaps truth 0 more. Truth 2 is
// overlapped by none.
TEST(MatchBoxes, GivesEachTruthItsBestBoxes) {
  const std::vector<double> table{0.9, 0.1, 0, 0.0, 0.2, 0, 0.4, 0.2, 0, 0.1, 0.0, 0};
  EXPECT_EQ(match_boxes(table.data(), 4, 3, {0.7, 0.3, true}), (Indices{0, 1, 0, kBackground}));
  EXPECT_EQ(match_boxes(table.data(), 4, 3, {0.7, 0.3, false}),
            (Indices{0, kBackground, kBetween, kBackground}));
}

std::vector<std::uint8_t> pasted(const std::vector<float>& mask, std::int64_t side, std::vector<float> box,
                                 double threshold = 0.5) {
  std::vector<std::uint8_t> picture(6 * 8, 9);
  paste_mask(mask.data(), side, box.data(), threshold, 6, 8, picture.data());
  return picture;
}

std::int64_t ones(const std::vector<std::uint8_t>& picture) {
  return std::count(picture.begin(), picture.end(), 1);
}

// Full masks at half the threshold reach as far as the box: rows 1 … 3, columns 2 … 5.
TEST(PasteMask, FillsTheBox) {
  const auto picture = pasted({1, 1, 1, 1}, 2, {2, 1, 6, 4});
  for (std::int64_t y = 0; y < 6; ++y) {
    for (std::int64_t x = 0; x < 8; ++x)
      EXPECT_EQ(picture[y * 8 + x], y >= 1 && y < 4 && x >= 2 && x < 6 ? 1 : 0) << y << " " << x;
  }
}

// A mask of one row, 0 then 1, over 8 pixels: values change between the cells' centres, pixels 2 and 6, and
// are at least a half from pixel 4 on.
TEST(PasteMask, InterpolatesBetweenCellsCentres) {
  const auto picture = pasted({0, 1, 0, 1}, 2, {0, 0, 8, 6});
  EXPECT_EQ(std::vector<std::uint8_t>(picture.begin() + 24, picture.begin() + 32),
            (std::vector<std::uint8_t>{0, 0, 0, 0, 1, 1, 1, 1}));
}

TEST(PasteMask, TakesAnyBox) {
  const std::vector<float> full(4, 1.0F);
  EXPECT_EQ(ones(pasted(full, 2, {-100, -100, 100, 100})), 48);
  EXPECT_EQ(ones(pasted(full, 2, {-1e30F, -1e30F, 1e30F, 1e30F})), 48);
  EXPECT_EQ(ones(pasted(full, 2, {100, 100, 200, 200})), 0);
  EXPECT_EQ(ones(pasted(full, 2, {-200, -200, -100, -100})), 0);
  EXPECT_EQ(ones(pasted(full, 2, {3, 3, 3, 5})), 0);
  EXPECT_EQ(ones(pasted(full, 2, {5, 3, 3, 5})), 0);
  EXPECT_EQ(ones(pasted(full, 2, {kNan, 0, 3, 5})), 0);
  EXPECT_EQ(ones(pasted(full, 2, {0, 0, kInfinity, 5})), 0);
}

}  // namespace
}  // namespace refnorm::kernels
