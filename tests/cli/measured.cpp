#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/text.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;

/// What runs measure beside their test error.
class Measured : public SmallRun {
 protected:
  std::vector<Json> validations(const std::string& run) const {
    std::vector<Json> lines;
    for (const std::string& text : split(read_file(path(run + "/metrics.jsonl")), '\n')) {
      if (text.empty()) continue;
      const Json line = parse_json(text, "a line");
      if (line.contains("validation_error_pct")) lines.push_back(line);
    }
    return lines;
  }
  double error_of_best(const std::string& run) const {
    return trained({"eval", path(run), "--checkpoint", "best", "--statistics", "population"})
        .at("test_error_pct");
  }

  const Words often_{"--set", "measure.every=10%", "--set", "measure.target=30"};
};

TEST_F(Measured, ValidationOnTheWay) {
  const Json result = trained(train("run") + often_);
  const std::vector<Json> lines = validations("run");
  ASSERT_EQ(lines.size(), 10U);  // 50 steps; an epoch's end is every 25th
  std::optional<std::int64_t> reached;
  Json best;
  for (const Json& line : lines) {
    const double error = line.at("validation_error_pct");
    if (!reached && error <= 30) reached = line.at("step").get<std::int64_t>();
    if (best.is_null() || error < best.at("validation_error_pct"))
      best = {{"epoch", line.at("epoch")}, {"step", line.at("step")}, {"validation_error_pct", error}};
  }
  ASSERT_TRUE(reached);
  EXPECT_GT(*reached, 5) << "else the target is no target";
  EXPECT_EQ(result.at("steps_to_target"), *reached);
  EXPECT_GT(result.at("seconds_to_target"), 0);
  EXPECT_LT(result.at("seconds_to_target"), result.at("seconds"));
  EXPECT_LT(result.at("seconds"), result.at("total_seconds"));  // tests and the population pass, too
  EXPECT_EQ(result.at("best"), best);
  EXPECT_EQ(result.at("setup").at("target_validation_error_pct"), 30);
  EXPECT_EQ(result.at("test_error_pct_of_best").get<double>(), error_of_best("run"));

  const Json never = trained(train("never") + Words{"--set", "measure.target=0.5", "--set", "train.lr=0"});
  EXPECT_EQ(never.at("steps_to_target"), nullptr);
  EXPECT_EQ(never.at("seconds_to_target"), nullptr);
  EXPECT_FALSE(trained(train("plain")).contains("steps_to_target"));
}

TEST_F(Measured, TheTestErrorOfTheBestWeights) {
  // A rate that rises until it destroys what was learned: the best weights are not the last ones.
  const Words worse{"--set", "measure.every=1", "--set", "train.lr=3", "--set", "train.warmup_epochs=2"};
  const Json result = trained(train("run", "none") + worse);
  ASSERT_NE(result.at("best").at("step"), 50);
  const double best = trained({"eval", path("run"), "--checkpoint", "best"}).at("test_error_pct");
  EXPECT_EQ(result.at("test_error_pct_of_best").get<double>(), best);
  EXPECT_NE(result.at("test_error_pct").get<double>(), best);
  const Json last = trained(train("last") + Words{"--set", "train.epochs=1"});
  EXPECT_EQ(last.at("best").at("step"), 25);
  EXPECT_EQ(last.at("test_error_pct_of_best"), last.at("test_error_pct"));
  EXPECT_FALSE(
      trained(train("without") + Words{"--set", "data.validation=0"}).contains("test_error_pct_of_best"));
}

TEST_F(Measured, TheErrorInEachDomain) {
  const Json one = trained(train("one") + Words{"--set", "data.domains=[\"plain\"]"});
  EXPECT_EQ(one.at("test_error_pct_by_domain"), (Json{{"plain", one.at("test_error_pct")}}));
  const Json two = trained(
      train("two") + Words{"--set", "data.domains=[\"plain\",\"inverted\"]", "--set", "sampler.kind=domain"});
  const double plain = two.at("test_error_pct_by_domain").at("plain");
  const double inverted = two.at("test_error_pct_by_domain").at("inverted");
  EXPECT_NE(plain, inverted);
  EXPECT_GT(two.at("test_error_pct"), std::min(plain, inverted));
  EXPECT_LT(two.at("test_error_pct"), std::max(plain, inverted));
  EXPECT_FALSE(trained(train("none")).contains("test_error_pct_by_domain"));
}

TEST_F(Measured, TheReportShowsIt) {
  trained(
      compare("all") + often_ +
      Words{"--set", "measure.corruptions=[\"noisy:0.3\"]", "--set", "data.domains=[\"plain\",\"noisy\"]"});
  const std::string page = read_file(path("all/report.html"));
  for (const char* piece :
       {"<h2>On the way</h2>", "<th>steps to target</th>", "<th>test error % of the best</th>",
        "<td>2 of 2</td>", "<h2>Test error by domain, %</h2>", "<th>noisy</th>",
        "<h2>Test error on changed pictures, %</h2>", "<th>noisy:0.3</th>",
        "Validation error, with running statistics"})
    EXPECT_TRUE(contains(page, piece)) << piece;
}

TEST_F(Measured, WrongWordsAreOneLine) {
  const auto error = [&](const char* value) {
    return error_of(train("run") + Words{"--set", value, "--set", "data.validation=0"});
  };
  EXPECT_TRUE(contains(error("measure.every=10"), "measure.every: is of validation samples"));
  EXPECT_TRUE(contains(error("measure.every=5%"), "measure.every: is of validation samples"));
  EXPECT_TRUE(contains(error("measure.target=3"), "measure.target: is of validation samples"));
  EXPECT_FALSE(exists("run"));
}

}  // namespace
}  // namespace refnorm
