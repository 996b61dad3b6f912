#include <cmath>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class Compare : public SmallRun {
 protected:
  Json result_of(const std::string& run) const { return read_json(path("all/" + run + "/result.json")); }
};

/// Mean, deviation and Student's interval of up to three values, from the definitions. The quantiles 0.975
/// have closed forms: tan(0.475 π) for one degree of freedom, 0.95 / sqrt(2 · 0.975 · 0.025) for two.
void expect_summary(const Json& summary, const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  EXPECT_EQ(summary.at("n"), values.size());
  double mean = 0;
  for (const double value : values) mean += value / n;
  EXPECT_NEAR(summary.at("mean").get<double>(), mean, 1e-9);
  if (values.size() < 2) {
    EXPECT_EQ(summary.at("std"), nullptr);
    EXPECT_EQ(summary.at("ci95"), nullptr);
    return;
  }
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / (n - 1));
  const double t = values.size() == 2 ? std::tan(0.475 * M_PI) : 0.95 / std::sqrt(2 * 0.975 * 0.025);
  const double half = t * deviation / std::sqrt(n);
  EXPECT_NEAR(summary.at("std").get<double>(), deviation, 1e-9);
  EXPECT_NEAR(summary.at("ci95").at(0).get<double>(), mean - half, 1e-6);
  EXPECT_NEAR(summary.at("ci95").at(1).get<double>(), mean + half, 1e-6);
}

TEST_F(Compare, ArmsAndSeeds) {
  const Ended ended = run_program(compare("all") + Words{"--json"});
  const Json result = json_of(ended);
  EXPECT_TRUE(contains(ended.err, "RBN, seed 2: test error"));
  EXPECT_EQ(result, read_json(path("all/result.json")));
  EXPECT_EQ(result.at("recipe"), "small");
  EXPECT_FALSE(result.contains("note"));
  EXPECT_EQ(result.at("machine").at("jobs"), 2);
  EXPECT_EQ(result.at("machine").at("threads_per_run"), 1);
  EXPECT_EQ(result.at("setup").at("training_samples"), 500);
  ASSERT_EQ(result.at("arms").size(), 2U);
  bool arms_differ = false;
  for (std::size_t i = 0; i < 2; ++i) {
    const Json& arm = result.at("arms").at(i);
    EXPECT_EQ(arm.at("name"), i == 0 ? "BN" : "RBN");
    EXPECT_EQ(arm.at("norm"), i == 0 ? "bn" : "rbn");
    ASSERT_EQ(arm.at("runs").size(), 2U);
    std::vector<double> errors;
    for (int seed = 1; seed <= 2; ++seed) {
      const Json& run = arm.at("runs").at(static_cast<std::size_t>(seed - 1));
      EXPECT_EQ(run.at("folder"), std::string(i == 0 ? "bn" : "rbn") + "/seed-" + std::to_string(seed));
      const Json alone = result_of(run.at("folder"));
      EXPECT_EQ(alone.at("seed"), seed);
      for (const auto& [key, value] : run.items()) {
        EXPECT_TRUE(key == "folder" || value == alone.at(key)) << key;
      }
      errors.push_back(alone.at("test_error_pct"));
      EXPECT_FALSE(exists("all/" + run.at("folder").get<std::string>() + ".log"));
    }
    EXPECT_EQ(arm.at("test_error_pct").at("diverged"), 0);
    expect_summary(arm.at("test_error_pct"), errors);
    arms_differ = arms_differ || errors[0] != errors[1];
  }
  EXPECT_TRUE(arms_differ);  // else the interval was not put to a test
  for (const char* file : {"config.toml", "table.md", "curves.svg", "report.html"}) {
    EXPECT_TRUE(exists(std::string("all/") + file)) << file;
  }
  // A run of the comparison is the run that `train` makes.
  trained(train("alone", "RBN") + Words{"--seed", "2"});
  expect_same_files(timeless_files_in(path("alone")), timeless_files_in(path("all/rbn/seed-2")));
}

TEST_F(Compare, ResumeAddsSeedsAndKeepsWhatIsThere) {
  json_of(compare("all", 1) + Words{"--json"});
  EXPECT_TRUE(contains(error_of(compare("all", 2)), "already holds a comparison"));
  EXPECT_TRUE(
      contains(error_of(compare("all", 2) + Words{"--resume", "--set", "train.lr=0.5"}), "lr = 0.02"));
  const auto before = files_in(path("all/bn/seed-1"));
  const auto written = fs::last_write_time(path("all/bn/seed-1"));
  const Json three = json_of(compare("all", 3) + Words{"--resume", "--json"});
  expect_same_files(before, files_in(path("all/bn/seed-1")));
  EXPECT_EQ(fs::last_write_time(path("all/bn/seed-1")), written);
  std::vector<double> errors;
  for (int seed = 1; seed <= 3; ++seed) {
    errors.push_back(result_of("bn/seed-" + std::to_string(seed)).at("test_error_pct"));
  }
  expect_summary(three.at("arms").at(0).at("test_error_pct"), errors);
  // Asked for fewer, it does not forget those it has.
  EXPECT_EQ(json_of(compare("all", 1) + Words{"--resume", "--json"}), three);
}

TEST_F(Compare, DivergedRunsAreCountedAndNotAveraged) {
  const Json all = json_of(compare("all", 1) + Words{"--set", "train.lr=1e30", "--json"});
  for (const Json& arm : all.at("arms")) {
    EXPECT_EQ(arm.at("test_error_pct"),
              (Json{{"mean", nullptr}, {"std", nullptr}, {"ci95", nullptr}, {"n", 0}, {"diverged", 1}}));
    EXPECT_EQ(arm.at("runs").at(0).at("diverged"), true);
    EXPECT_EQ(arm.at("runs").at(0).at("test_error_pct"), nullptr);
  }

  // One diverged run among good ones: put into a comparison's folder, as if that seed had.
  json_of(train("bad", "BN") + Words{"--seed", "2", "--set", "train.lr=1e30", "--json"}, 1);
  fs::rename(path("all"), path("diverged"));
  fs::create_directories(folder_ / "all/bn");
  copy("bad", "all/bn/seed-2");
  const Json mixed = json_of(compare("all", 2) + Words{"--json"});
  const Json& summary = mixed.at("arms").at(0).at("test_error_pct");
  EXPECT_EQ(summary.at("diverged"), 1);
  expect_summary(summary, {result_of("bn/seed-1").at("test_error_pct")});
  EXPECT_EQ(mixed.at("arms").at(1).at("test_error_pct").at("n"), 2);
}

TEST_F(Compare, ARunThatFailsDoesNotTakeTheOthersWithIt) {
  fs::create_directories(folder_ / "all/bn");
  write_file(path("all/bn/seed-1"), "a file in the way of a run's folder\n");
  const Json result = json_of(compare("all") + Words{"--json"}, 1);
  const Json& arm = result.at("arms").at(0);
  EXPECT_TRUE(contains(arm.at("runs").at(0).at("failed").get<std::string>(), "cannot be made a folder"));
  expect_summary(arm.at("test_error_pct"), {result_of("bn/seed-2").at("test_error_pct")});
  EXPECT_EQ(arm.at("test_error_pct").at("diverged"), 0);
  EXPECT_EQ(result.at("arms").at(1).at("test_error_pct").at("n"), 2);
  EXPECT_TRUE(contains(read_file(path("all/report.html")), "cannot be made a folder"));

  fs::remove(path("all/bn/seed-1"));
  const Json repaired = json_of(compare("all") + Words{"--resume", "--json"});
  EXPECT_EQ(repaired.at("arms").at(0).at("test_error_pct").at("n"), 2);
  EXPECT_FALSE(exists("all/bn/seed-1.log"));
}

TEST_F(Compare, WhatIsNoComparison) {
  trained(train("run", "BN"));
  const auto before = files_in(path("run"));
  EXPECT_TRUE(contains(error_of(Words{"compare", path("run/config.toml"), "--out", path("run"), "--resume"}),
                       "holds a single run"));
  expect_same_files(before, files_in(path("run")));

  json_of(compare("all", 1) + Words{"--json"});
  write_file(path("all/bn/seed-1/result.json"), "{}");
  EXPECT_TRUE(contains(error_of(compare("all", 1) + Words{"--resume"}),
                       path("all/bn/seed-1/result.json") + ": is not the result of a run"));
}

TEST_F(Compare, TheReportIsMadeAgainToTheSameBytes) {
  json_of(compare("all", 1) + Words{"--json"});
  const auto before = files_in(path("all"));
  for (const char* file : {"table.md", "curves.svg", "report.html"}) fs::remove(folder_ / "all" / file);
  EXPECT_EQ(json_of(Words{"report", path("all"), "--json"}), read_json(path("all/result.json")));
  expect_same_files(before, files_in(path("all")));
  EXPECT_TRUE(contains(run_program({"report", path("all")}).out, "report.html"));

  const std::string whole = before.at("result.json");
  for (const std::string& text : {whole.substr(0, whole.size() / 2), std::string("[]"), std::string("{}")}) {
    write_file(path("all/result.json"), text);
    EXPECT_TRUE(error_of(Words{"report", path("all")}).starts_with(path("all/result.json") + ": ")) << text;
  }
  EXPECT_TRUE(contains(error_of(Words{"report", path("data")}), "result.json: cannot be read"));
}

}  // namespace
}  // namespace refnorm
