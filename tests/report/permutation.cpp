#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/report/permutation.h>

#include "tests/base/helpers.h"

namespace refnorm::report {
namespace {

using Values = std::vector<double>;

TEST(SignFlip, DifferencesOfOneSignAreAsFarAsSignsCanGo) {
  // Of the 32 ways to sign five differences only + + + + + and − − − − − give a mean as large: 2 / 32.
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{0.1, 0.2, 0.3, 0.4, 0.5}), 0.0625);
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{-3, -3, -3, -3, -3}), 0.0625);
  EXPECT_DOUBLE_EQ(sign_flip_p(Values(10, 1.0)), 2.0 / 1024);
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{0.3}), 1);
}

TEST(SignFlip, MixedSignsByHand) {
  // 3 + 1 − 1 = 3. With the first sign +, the sums are 5, 3, 3, 1: three of four are at least 3.
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{3, 1, -1}), 0.75);
  // 4 + 2 − 1 = 5. The sums are 7, 5, 3, 1: two of four.
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{4, 2, -1}), 0.5);
}

TEST(SignFlip, SumsThatTieButForRoundingTie) {
  // Three differences of 0.01, one with the other sign: every sum is 0.01 or 0.03 away from 0, so p = 1.
  const Values same{0.82 - 0.81, 0.81 - 0.80, 0.80 - 0.81};
  EXPECT_NE(same[0], same[1]);
  EXPECT_DOUBLE_EQ(sign_flip_p(same), 1);
  // 0.1 + 0.1 + 0.1 − 0.1 is more than 0.2 in binary. Of the 16 sums 2 are 0.4 away from 0, 8 are 0.2: 10
  // / 16.
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{0.1, 0.1, 0.1, -0.1}), 0.625);
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{0, 0, 0}), 1);
  EXPECT_DOUBLE_EQ(sign_flip_p({}), 1);
}

TEST(SignFlip, BeyondTwentyPairsByDraws) {
  // 20 differences of 1 and 10 of −1: p = 2 P(at least 20 heads of 30) = 2 · 0.04937 = 0.0987; the draws'
  // standard error is sqrt(0.0987 · 0.9013 / 99,999) = 0.0009.
  Values values(20, 1.0);
  values.resize(30, -1.0);
  EXPECT_NEAR(sign_flip_p(values), 0.0987, 0.004);
  EXPECT_EQ(sign_flip_p(values), sign_flip_p(values));
  // 2 / 2^40 is out of reach of 99,999 draws: (0 + 1) / (99,999 + 1).
  EXPECT_DOUBLE_EQ(sign_flip_p(Values(40, 0.1)), 1e-5);
}

TEST(SignFlip, ExactAndDrawnAgreeWhereTheyMeet) {
  // The same values with a 21st too small to matter: p must not jump at the border.
  Values values;
  for (int i = 0; i < 20; ++i) values.push_back(std::sin(i) + 0.2);
  const double exact = sign_flip_p(values);
  values.push_back(1e-12);
  EXPECT_NEAR(sign_flip_p(values), exact, 5 * std::sqrt(exact / 99'999));
}

TEST(SignFlip, WhatIsNoNumberIsTurnedDown) {
  testing::message_of<Error>([] { sign_flip_p(Values{1, std::nan("")}); });
  testing::message_of<Error>([] { sign_flip_p(Values{std::numeric_limits<double>::infinity()}); });
}

TEST(SignFlip, TheFloorAndThePairsNeededForIt) {
  EXPECT_DOUBLE_EQ(smallest_sign_flip_p(0), 1);
  EXPECT_DOUBLE_EQ(smallest_sign_flip_p(1), 1);
  EXPECT_DOUBLE_EQ(smallest_sign_flip_p(5), 0.0625);
  EXPECT_DOUBLE_EQ(smallest_sign_flip_p(30), 1e-5);
  // 2/32 > 0.05 >= 2/64; and 28 · 2/1024 = 0.0547 > 0.05 >= 28 · 2/2048.
  EXPECT_EQ(pairs_needed(1), 6U);
  EXPECT_EQ(pairs_needed(28), 11U);
  EXPECT_EQ(pairs_needed(1'000'000), std::nullopt);
}

TEST(Holm, ByHand) {
  // Sorted 0.01, 0.03, 0.04: times 3, 2, 1 is 0.03, 0.06, 0.04; the last may not fall below the one before.
  EXPECT_EQ(holm(Values{0.01, 0.04, 0.03}), (Values{0.03, 0.06, 0.06}));
  EXPECT_EQ(holm(Values{0.5, 0.9}), (Values{1, 1}));
  EXPECT_EQ(holm(Values{0.02}), Values{0.02});
  EXPECT_TRUE(holm({}).empty());
}

TEST(Pooled, SeedsFlipAsAWhole) {
  // Three seeds, all alike in both settings: 2 of the 8 ways to sign seeds are as far from 0, where six pairs
  // that flip on their own would have 2 of 64.
  EXPECT_DOUBLE_EQ(
      pooled_sign_flip_p(std::vector<BySeed>{{{1, 1}, {2, 1}, {3, 1}}, {{1, 1}, {2, 1}, {3, 1}}}), 0.25);
  // Per seed (3 − 1) / 4 and (−1 + 3) / 4: + + and − − of four. The pairs' own signs do not matter.
  EXPECT_DOUBLE_EQ(pooled_sign_flip_p(std::vector<BySeed>{{{1, 3}, {2, -1}}, {{1, -1}, {2, 3}}}), 0.5);
  // Per seed 2 / 4 and 0: every way is as far.
  EXPECT_DOUBLE_EQ(pooled_sign_flip_p(std::vector<BySeed>{{{1, 1}, {2, 1}}, {{1, 1}, {2, -1}}}), 1);
}

TEST(Pooled, SettingsCountTheSameHoweverManyPairsTheyHave) {
  // The means 1 and 1 weigh a half each: seed 1 has 1/2, seeds 2 and 3 have 3/4 and −1/4, in all 1. With seed
  // 1 at +, the sums are 3/2, 1, 0, −1/2: two of four are as far from 0. Were all pairs to weigh the same,
  // 1, 3, −1 would make it three of four.
  EXPECT_DOUBLE_EQ(pooled_sign_flip_p(std::vector<BySeed>{{{1, 1}}, {}, {{2, 3}, {3, -1}}}), 0.5);
  EXPECT_DOUBLE_EQ(pooled_sign_flip_p(std::vector<BySeed>{{}, {}}), 1);
}

TEST(Pooled, TheIntervalIsOfTheSeedsMeans) {
  // Means over the two settings 0.5, 2.5 and 3: mean 2, variance (2.25 + 0.25 + 1) / 2 = 1.75, half width
  // 4.30265 (t, two degrees of freedom) · sqrt(1.75 / 3) = 3.2862.
  const PooledDifference found =
      pooled_difference(std::vector<BySeed>{{{1, 1}, {2, 3}, {3, 2}}, {{1, 0}, {2, 2}, {3, 4}}});
  EXPECT_DOUBLE_EQ(found.mean.value(), 2);
  EXPECT_NEAR(found.interval->low, 2 - 3.2862, 1e-4);
  EXPECT_NEAR(found.interval->high, 2 + 3.2862, 1e-4);
  EXPECT_EQ(found.settings, 2U);
  EXPECT_EQ(found.pairs, 6U);
  EXPECT_EQ(found.seeds, 3U);
}

TEST(Pooled, TheIntervalWhereSeedsLackPairs) {
  // Both settings' means are 2. Departures by seed: −1/4 − 2/6 = −7/12, 1/4 + 0, 2/6. Their squares sum to
  // 0.513889; times 3/2, the root is 0.877971; times 4.30265 it is 3.7776.
  const PooledDifference found =
      pooled_difference(std::vector<BySeed>{{{1, 1}, {2, 3}}, {}, {{1, 0}, {2, 2}, {3, 4}}});
  EXPECT_DOUBLE_EQ(found.mean.value(), 2);
  EXPECT_NEAR(found.interval->high, 2 + 3.7776, 1e-4);
  EXPECT_EQ(found.settings, 2U);
  EXPECT_EQ(found.pairs, 5U);
  EXPECT_EQ(found.seeds, 3U);
}

TEST(Pooled, NoIntervalWithoutSpreadOrSecondPair) {
  EXPECT_FALSE(pooled_difference(std::vector<BySeed>{{{1, 1}, {2, 3}}, {{1, 2}}}).interval);
  EXPECT_FALSE(pooled_difference(std::vector<BySeed>{{{1, 1}}, {{1, 2}}}).interval);
  EXPECT_FALSE(pooled_difference(std::vector<BySeed>{{{1, 0.82 - 0.81}, {2, 0.81 - 0.80}}}).interval);
  EXPECT_FALSE(pooled_difference({}).mean);
}

TEST(NotWorse, WhereTheWholeIntervalLiesBelowTheMargin) {
  EXPECT_EQ(not_worse(Interval{-0.5, 0.19}), true);
  EXPECT_EQ(not_worse(Interval{-0.5, 0.2}), false);
  EXPECT_EQ(not_worse(std::nullopt), std::nullopt);
}

}  // namespace
}  // namespace refnorm::report
