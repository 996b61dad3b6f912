#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/report/axis.h>
#include <refnorm/report/curves.h>

#include "tests/base/helpers.h"
#include "tests/report/sample.h"

namespace refnorm::report {
namespace {

using namespace testing;
using Ticks = std::vector<double>;

std::vector<Point> rising(std::uint64_t every, std::size_t count, double from, double to) {
  std::vector<Point> points;
  for (std::size_t i = 1; i <= count; ++i) {
    points.push_back({every * i, from + (to - from) * static_cast<double>(i) / static_cast<double>(count)});
  }
  return points;
}

void expect_ticks(const Axis& axis, const Ticks& expected) {
  ASSERT_EQ(axis.ticks.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(axis.ticks[i], expected[i], 1e-12);
}

TEST(Axis, TicksAtRoundNumbers) {
  expect_ticks(linear_axis(0, 4290, 9), {0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000});
  expect_ticks(linear_axis(92, 100, 7), {92, 94, 96, 98, 100});
  expect_ticks(linear_axis(99.5, 100, 6), {99.5, 99.6, 99.7, 99.8, 99.9, 100});
  const Axis log = log_axis(0.03, 7);
  EXPECT_DOUBLE_EQ(log.low, 0.02);
  EXPECT_DOUBLE_EQ(log.high, 10);
  expect_ticks(log, {0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10});
  EXPECT_DOUBLE_EQ(log.place(0.02), 0);
  EXPECT_DOUBLE_EQ(log.place(10), 1);
  EXPECT_NEAR(log_axis(0.01, 100).place(1), 0.5, 1e-12);
  expect_ticks(log_axis(0.001, 100), {0.001, 0.01, 0.1, 1, 10, 100});
}

TEST(Axis, AnEmptyRangeStillHasOne) {
  EXPECT_GT(linear_axis(3, 3, 5).high, 3);
  const Axis log = log_axis(1, 1);
  EXPECT_LT(log.low, log.high);
}

TEST(Axis, Labels) {
  EXPECT_EQ(tick_label(26000), "26,000");
  EXPECT_EQ(tick_label(1234567), "1,234,567");
  EXPECT_EQ(tick_label(0.1 + 0.2), "0.3");
  EXPECT_EQ(tick_label(0), "0");
}

TEST(Band, MeanAndExtremesOverSeeds) {
  const auto band = band_over({{1, {{50, 80}, {100, 90}}}, {2, {{50, 90}, {100, 100}}}, {3, {{50, 70}}}});
  ASSERT_EQ(band.size(), 2U);
  EXPECT_EQ(band[0].seeds, 3U);
  EXPECT_DOUBLE_EQ(band[0].mean, 80);
  EXPECT_DOUBLE_EQ(band[0].low, 70);
  EXPECT_DOUBLE_EQ(band[0].high, 90);
  EXPECT_EQ(band[1].seeds, 2U);
  EXPECT_DOUBLE_EQ(band[1].mean, 95);
}

TEST(Band, StepsOfOneSeedAreInterpolatedInTheOthers) {
  const auto band = band_over({{1, {{50, 80}, {150, 90}}}, {2, {{100, 95}}}});
  ASSERT_EQ(band.size(), 3U);
  EXPECT_EQ(band[1].seeds, 2U);
  EXPECT_DOUBLE_EQ(band[1].low, 85);  // halfway between 80 and 90
  EXPECT_DOUBLE_EQ(band[1].high, 95);
}

TEST(Coarsened, MeansOfEqualStretches) {
  // Lines at 50, 100 stand for steps 1 … 100, those at 150, 200 for 101 … 200.
  const auto coarse = coarsened({{50, 80}, {100, 90}, {150, 92}, {200, 94}, {250, 99}}, 100);
  ASSERT_EQ(coarse.size(), 3U);
  EXPECT_EQ(coarse[0].step, 100U);
  EXPECT_DOUBLE_EQ(coarse[0].accuracy, 85);
  EXPECT_DOUBLE_EQ(coarse[1].accuracy, 93);
  EXPECT_EQ(coarse[2].step, 250U);
  EXPECT_DOUBLE_EQ(coarse[2].accuracy, 99);
}

TEST(Smoothed, CentredAndShorterAtTheEnds) {
  const auto smooth = smoothed({{1, 0}, {2, 3}, {3, 6}, {4, 3}, {5, 9}}, 1);
  const std::vector<double> expected{0, 3, 4, 6, 6};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_DOUBLE_EQ(smooth[i].accuracy, expected[i]) << i;
}

Result two_arms() {
  return sample_result({sample_arm("BN", {1.0, 1.1}), sample_arm("RBN", {0.9, 1.0})});
}

TEST(Curves, LinesBandsAndPointsHaveTitles) {
  std::vector<ArmTraces> traces(2);
  traces[0].counted = {{1, rising(50, 20, 80, 99)}, {2, rising(50, 20, 82, 99)}};
  traces[1].counted = {{1, {{50, 80}, {1000, 98.5}}}, {2, {{50, 90}, {1000, 99.5}}}};
  const std::string svg = curves_svg(two_arms(), traces);
  EXPECT_EQ(markup_fault(svg), "");
  EXPECT_EQ(occurrences(svg, "<polygon"), 4U);  // two arms, two panels
  EXPECT_EQ(occurrences(svg, "<polyline"), 4U);
  EXPECT_TRUE(contains(svg, "<title>RBN, step 1,000: accuracy 99.00 % (2 seeds, 98.50 to 99.50)</title>"))
      << svg;
  EXPECT_TRUE(contains(svg, "<title>RBN, step 1,000: error 1.00 % (2 seeds, 0.50 to 1.50)</title>"));
  EXPECT_TRUE(contains(svg, "<title>BN: mean over 2 seeds, band: lowest to highest seed</title>"));
  EXPECT_TRUE(contains(svg, "band: lowest to highest seed</text>"));
  EXPECT_FALSE(contains(svg, "diverged"));
}

TEST(Curves, OneSeedHasNoBand) {
  std::vector<ArmTraces> traces(2);
  traces[0].counted = {{1, rising(50, 20, 80, 99)}};
  traces[0].absent = {2};
  const std::string svg = curves_svg(two_arms(), traces);
  EXPECT_EQ(markup_fault(svg), "");
  EXPECT_EQ(occurrences(svg, "<polygon"), 0U);
  EXPECT_TRUE(contains(svg, "RBN (no curve)"));
  EXPECT_TRUE(contains(svg, "; 1 finished run left no step behind</text>"));
}

TEST(Curves, DivergedRunsEndInACross) {
  std::vector<ArmTraces> traces(2);
  traces[0].counted = {{1, rising(50, 20, 80, 99)}};
  traces[0].diverged = {{2, {{50, 80}, {100, 9.5}}}};
  traces[1].diverged = {{1, {{50, 70}}}};
  const std::string svg = curves_svg(two_arms(), traces);
  EXPECT_EQ(markup_fault(svg), "");
  EXPECT_EQ(occurrences(svg, "BN, seed 2: diverged; BN, seed 2, step 100: accuracy 9.50 %</title>"), 1U);
  EXPECT_TRUE(contains(svg, "RBN (all diverged)"));
  EXPECT_TRUE(contains(svg, "a run that diverged</text>"));
}

TEST(Curves, NothingToShowIsSaid) {
  const std::string svg = curves_svg(two_arms(), std::vector<ArmTraces>(2));
  EXPECT_EQ(markup_fault(svg), "");
  EXPECT_TRUE(contains(svg, "No training curve"));
}

TEST(Curves, PerfectAccuracyAndSinglePointsStayInThePicture) {
  for (const double accuracy : {0.0, 100.0}) {
    std::vector<ArmTraces> traces(2);
    traces[0].counted = {{1, {{50, accuracy}}}};
    traces[1].counted = {{1, {{50, accuracy}, {100, accuracy}}}};
    const std::string svg = curves_svg(two_arms(), traces);
    EXPECT_EQ(markup_fault(svg), "");
    EXPECT_FALSE(contains(svg, "nan") || contains(svg, "inf")) << svg;
  }
}

TEST(Curves, NoErrorAtAllLiesAtTheLogarithmicAxisLowerEdge) {
  std::vector<ArmTraces> traces(2);
  traces[0].counted = {{1, {{50, 90}, {100, 99}, {150, 100}}}};
  const std::string svg = curves_svg(two_arms(), traces);
  const std::size_t at = svg.rfind("<circle", svg.find("BN, step 150: error 0.00 %"));
  ASSERT_NE(at, std::string::npos);
  const double y = std::stod(svg.substr(svg.find("cy=\"", at) + 4));
  const std::size_t axis = svg.rfind("<path class=\"axis\"");
  const double bottom = std::stod(svg.substr(svg.find('V', axis) + 1));
  EXPECT_NEAR(y, bottom, 0.11);
}

TEST(Curves, LongRunsAreThinnedAndSaySo) {
  std::vector<ArmTraces> traces(2);
  traces[0].counted = {{1, rising(50, 5000, 80, 99)}};
  const std::string svg = curves_svg(two_arms(), traces);
  EXPECT_EQ(markup_fault(svg), "");
  // 250,000 steps over at most 400 points: the next of 1, 2, 5 · 10^k above 625.
  EXPECT_TRUE(contains(svg, "each point: mean over 1,000 steps"));
  EXPECT_LT(svg.size(), 100'000U);
}

TEST(Curves, ElevenArmsAllLookDifferent) {
  std::vector<Json> arms;
  for (int i = 0; i < 11; ++i) arms.push_back(sample_arm(fmt::format("arm {}", i), {1.0, 1.1}));
  std::vector<ArmTraces> traces(11);
  for (auto& arm : traces) arm.counted = {{1, rising(50, 3, 80, 90)}};
  const std::string svg = curves_svg(sample_result(arms), traces);
  std::set<std::string> looks;
  std::size_t lines = 0;
  for (std::size_t at = svg.find("stroke-width=\"2.4\" stroke-dasharray"); at != std::string::npos;
       at = svg.find("stroke-width=\"2.4\" stroke-dasharray", at + 1)) {
    ++lines;
    looks.insert(svg.substr(svg.rfind("stroke=", at), svg.find("/>", at) - svg.rfind("stroke=", at)));
  }
  EXPECT_EQ(lines, 11U);
  EXPECT_EQ(looks.size(), 11U);
}

}  // namespace
}  // namespace refnorm::report
