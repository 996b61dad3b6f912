#include <csignal>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

/// Comparisons that end before their time, long enough to be caught at work.
class CompareStopped : public SmallRun {
 protected:
  Words compare_all(const std::string& out) const { return compare(out) + Words{"--set", "train.epochs=8"}; }
  std::vector<pid_t> children() const { return processes_naming(path("all/")); }
  /// Until some run of the comparison has trained a few steps.
  void wait_for_training(const std::string& run) const {
    wait_until([&] {
      std::error_code ignored;
      const auto size = fs::file_size(path("all/" + run + "/metrics.jsonl"), ignored);
      return !ignored && size > 0;
    });
  }
  /// --resume completes the comparison to what it had been without the stop.
  void expect_completes_to_the_same() {
    json_of(compare_all("all") + Words{"--resume", "--json"});
    json_of(compare_all("whole") + Words{"--json"});
    auto all = timeless_files_in(path("all"));
    auto whole = timeless_files_in(path("whole"));
    for (const char* file : {"table.md", "curves.svg", "report.html"}) {  // they show times
      EXPECT_EQ(all.erase(file), 1U);
      whole.erase(file);
    }
    expect_same_files(whole, all);
  }
};

TEST_F(CompareStopped, ByCtrlC) {
  Running running(compare_all("all"));
  wait_for_training("bn/seed-1");
  running.send(SIGINT);  // to the parent alone
  const Ended ended = running.wait();
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.out, "");
  EXPECT_TRUE(contains(ended.err, "refnorm: error: stopped; " + path("all"))) << ended.err;
  EXPECT_TRUE(contains(ended.err, "--resume goes on\n")) << ended.err;
  EXPECT_TRUE(children().empty());
  EXPECT_TRUE(exists("all/bn/seed-1/last/meta.json"));  // the run saved before it went
  EXPECT_FALSE(exists("all/bn/seed-1/result.json"));
  EXPECT_FALSE(exists("all/rbn/seed-2"));  // nor was another one begun
  expect_completes_to_the_same();
}

TEST_F(CompareStopped, ByKillingIt) {
  Running running(compare_all("all"));
  wait_for_training("bn/seed-1");
  EXPECT_FALSE(children().empty());
  running.send(SIGKILL);
  EXPECT_EQ(running.wait().signal, SIGKILL);
  wait_until([&] { return children().empty(); });  // they stop by themselves
  EXPECT_TRUE(exists("all/bn/seed-1/last/meta.json")) << read_file(path("all/bn/seed-1.log"));
  EXPECT_FALSE(exists("all/result.json"));
}

TEST_F(CompareStopped, ByKillingOneOfItsRuns) {
  Running running(compare_all("all") + Words{"--json"});
  wait_for_training("bn/seed-1");
  for (const pid_t pid : processes_naming(path("all/bn/seed-1"))) kill(pid, SIGKILL);
  const Json result = json_of(running.wait(), 1);
  const std::string failed = result.at("arms").at(0).at("runs").at(0).at("failed");
  EXPECT_TRUE(contains(failed, "signal 9 (Killed)")) << failed;
  EXPECT_EQ(result.at("arms").at(0).at("test_error_pct").at("n"), 1);
  EXPECT_EQ(result.at("arms").at(1).at("test_error_pct").at("n"), 2);
  const Json repaired = json_of(compare_all("all") + Words{"--resume", "--json"});
  EXPECT_EQ(repaired.at("arms").at(0).at("test_error_pct").at("n"), 2);
}

}  // namespace
}  // namespace refnorm
