#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;

class Eval : public SmallRun {
 protected:
  Json eval(const Words& more) const { return json_of(Words{"eval", path("run"), "--json"} + more); }
};

TEST_F(Eval, GivesTheFiguresOfTheRun) {
  const Json result = trained(train("run"));
  const auto before = files_in(path("run"));
  const Json all = eval({});
  EXPECT_EQ(all.at("checkpoint"), "last");
  EXPECT_EQ(all.at("machine").at("threads_per_run"), 1);  // the run's, not the machine's
  for (const char* key : {"arm", "seed", "setup", "test_error_pct", "test_error_pct_by_statistics",
                          "test_error_pct_by_population_reading"}) {
    EXPECT_EQ(all.at(key), result.at(key)) << key;
  }
  for (const char* mode : {"running", "population", "batch"}) {
    Json expected{{"running", nullptr}, {"population", nullptr}, {"batch", nullptr}};
    expected[mode] = result.at("test_error_pct_by_statistics").at(mode);
    const Json one = eval({"--statistics", mode});
    EXPECT_EQ(one.at("test_error_pct_by_statistics"), expected);
    EXPECT_EQ(one.at("test_error_pct"), expected[mode]);
  }
  // Statistics that were not stored are collected again, to the same figures.
  std::filesystem::remove(path("run/population.safetensors"));
  EXPECT_EQ(eval({}).at("test_error_pct_by_population_reading"),
            result.at("test_error_pct_by_population_reading"));
  auto after = before;
  after.erase("population.safetensors");
  expect_same_files(after, files_in(path("run")));  // nothing is written
}

TEST_F(Eval, TheBestCheckpoint) {
  // After one epoch, best and last are the same weights.
  const Json result = trained(train("run") + Words{"--set", "train.epochs=1"});
  const Json best = eval({"--checkpoint", "best"});
  EXPECT_EQ(best.at("checkpoint"), "best");
  EXPECT_EQ(best.at("test_error_pct_by_statistics"), result.at("test_error_pct_by_statistics"));
}

TEST_F(Eval, OtherData) {
  const double error = trained(train("run")).at("test_error_pct");
  write_small_data(folder_ / "other", Labels::kNextClass);
  // What was right is wrong now, so that at most the wrong ones of before can be right.
  EXPECT_GE(eval({"--data", path("other")}).at("test_error_pct").get<double>(), 100 - error);
  EXPECT_TRUE(contains(error_of(Words{"eval", path("run"), "--data", path("none")}), path("none") + ": "));
}

TEST_F(Eval, ANormWithoutBatchStatistics) {
  const Json result = trained(train("run", "none"));
  const Json all = eval({});
  EXPECT_EQ(all.at("test_error_pct"), result.at("test_error_pct"));
  EXPECT_EQ(all.at("test_error_pct_by_population_reading"), nullptr);
  EXPECT_TRUE(contains(error_of(Words{"eval", path("run"), "--statistics", "running"}),
                       "'none' has no batch statistics"));
  EXPECT_TRUE(contains(run_program({"eval", path("run")}).out, "Test error: "));
}

TEST_F(Eval, WhatIsNoRun) {
  EXPECT_TRUE(contains(error_of(Words{"eval", path("data")}), "not a run folder"));
  EXPECT_TRUE(contains(error_of(Words{"eval", path("recipe.toml")}), "not a run folder"));
  EXPECT_TRUE(contains(error_of(Words{"eval", path("none")}), "not a run folder"));
}

}  // namespace
}  // namespace refnorm
