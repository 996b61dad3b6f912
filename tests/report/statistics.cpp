#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/report/statistics.h>

#include "tests/base/helpers.h"

namespace refnorm::report {
namespace {

using testing::message_of;

// Two-sided 95 % quantiles of Student's t as every printed table has them: 1 degree of freedom 12.706,
// 2: 4.303, 4: 2.776.
TEST(Summary, ThreeValuesByHand) {
  // Mean 2; squares 1 + 0 + 1 over n − 1 = 2: deviation 1; half width 4.303 · 1 / sqrt 3 = 2.484.
  const Summary summary = summarize(std::vector<double>{1, 2, 3}, 2);
  EXPECT_DOUBLE_EQ(summary.mean.value(), 2);
  EXPECT_DOUBLE_EQ(summary.std.value(), 1);
  EXPECT_NEAR(summary.ci95->low, 2 - 2.484, 1e-3);
  EXPECT_NEAR(summary.ci95->high, 2 + 2.484, 1e-3);
  EXPECT_EQ(summary.n, 3);
  EXPECT_EQ(summary.diverged, 2);
}

TEST(Summary, TwoAndFiveValuesByHand) {
  // Mean 0.5, deviation sqrt 0.5, half width 12.706 · sqrt 0.5 / sqrt 2 = 6.353.
  const Summary two = summarize(std::vector<double>{0, 1});
  EXPECT_NEAR(two.ci95->high, 0.5 + 6.353, 1e-3);
  // Mean 3, squares 10 / 4: deviation sqrt 2.5; half width 2.776 · sqrt(2.5 / 5) = 1.963.
  const Summary five = summarize(std::vector<double>{5, 1, 4, 2, 3});
  EXPECT_NEAR(five.std.value(), 1.58114, 1e-5);
  EXPECT_NEAR(five.ci95->low, 3 - 1.963, 1e-3);
}

TEST(Summary, TooFewValuesLeaveOutWhatTheyCannotSay) {
  const Summary one = summarize(std::vector<double>{0.81});
  EXPECT_EQ(one.mean, 0.81);
  EXPECT_FALSE(one.std || one.ci95);
  const Summary none = summarize({}, 5);
  EXPECT_FALSE(none.mean || none.std || none.ci95);
  EXPECT_EQ(none.n, 0);
}

TEST(Summary, AsInTheFile) {
  EXPECT_EQ(to_json(summarize({}, 5)).dump(), R"({"mean":null,"std":null,"ci95":null,"n":0,"diverged":5})");
  EXPECT_EQ(to_json(summarize(std::vector<double>{0.5})).dump(),
            R"({"mean":0.5,"std":null,"ci95":null,"n":1,"diverged":0})");
  EXPECT_EQ(to_json(summarize(std::vector<double>{2, 2})).dump(),
            R"({"mean":2.0,"std":0.0,"ci95":[2.0,2.0],"n":2,"diverged":0})");
}

TEST(Summary, ValuesThatAreNoNumbersAreTurnedDown) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    message_of<Error>([&] { summarize(std::vector<double>{1, bad}); });
  }
}

TEST(PairedDifference, ByHand) {
  // Differences 0.1, 0.2, 0: mean 0.1, deviation 0.1, half width 4.303 · 0.1 / sqrt 3 = 0.2484.
  const std::vector<double> a{1.0, 1.1, 1.2};
  const std::vector<double> b{1.1, 1.3, 1.2};
  const PairedDifference difference = paired_difference(a, b);
  EXPECT_NEAR(difference.mean.value(), 0.1, 1e-12);
  EXPECT_NEAR(difference.interval->low, 0.1 - 0.2484, 1e-4);
  EXPECT_NEAR(difference.interval->high, 0.1 + 0.2484, 1e-4);
  EXPECT_TRUE(difference.spread);
  EXPECT_EQ(difference.n, 3);
}

TEST(PairedDifference, AtAnotherConfidence) {
  // With 2 degrees of freedom the quantile has a closed form: t = c · sqrt(2 / (1 − c^2)) at two-sided
  // confidence c.
  const double confidence = 1 - 0.05 / 3;
  const double t = confidence * std::sqrt(2 / (1 - confidence * confidence));
  const std::vector<double> a{0, 0, 0};
  const std::vector<double> b{1, 2, 3};
  EXPECT_NEAR(paired_difference(a, b, confidence).interval->low, 2 - t / std::sqrt(3), 1e-9);
}

TEST(PairedDifference, EqualDifferencesHaveNoSpreadWhateverTheRounding) {
  const std::vector<double> a{0.80, 0.81, 0.82};
  const std::vector<double> b{0.81, 0.82, 0.83};
  EXPECT_FALSE(paired_difference(a, b).spread);
  EXPECT_FALSE(paired_difference(a, a).spread);
}

TEST(PairedDifference, TooFewPairs) {
  EXPECT_FALSE(paired_difference({}, {}).mean);
  const PairedDifference one = paired_difference(std::vector<double>{1}, std::vector<double>{3});
  EXPECT_EQ(one.mean, 2.0);
  EXPECT_FALSE(one.interval);
}

TEST(PairedDifference, WordsThatDoNotFitAreTurnedDown) {
  const std::vector<double> two{1, 2};
  message_of<Error>([&] { paired_difference(two, {}); });
  for (const double confidence : {0.0, 1.0, -1.0, std::nan("")}) {
    message_of<Error>([&] { paired_difference(two, two, confidence); });
  }
}

}  // namespace
}  // namespace refnorm::report
