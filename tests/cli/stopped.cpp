#include <csignal>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <refnorm/base/file.h>
#include <refnorm/base/random.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

/// Which folder stands at `path`: a checkpoint that was replaced is another one. 0: none.
ino_t identity(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

void expect_no_leftovers(const std::string& run) {
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    EXPECT_FALSE(contains(entry.path().filename().string(), ".tmp")) << entry.path();
  }
}

class Stopped : public SmallRun {
 protected:
  /// A signal in the midst of training ends the run in order, and --resume comes to the same bits.
  void stop_with(int signal, const Words& more = {}) {
    const Words longer = Words{"--set", "train.epochs=6"} + more;
    trained(train("whole") + longer);
    Running running(train("run") + longer);
    wait_until([&] { return exists("run/metrics.jsonl") && fs::file_size(path("run/metrics.jsonl")) > 0; });
    running.send(signal);
    const Ended ended = running.wait();
    EXPECT_EQ(ended.code, 1);
    EXPECT_EQ(ended.out, "");
    EXPECT_TRUE(contains(ended.err, "refnorm: error: stopped after step ")) << ended.err;
    EXPECT_TRUE(contains(ended.err, "--resume goes on\n")) << ended.err;
    EXPECT_FALSE(exists("run/result.json"));
    EXPECT_TRUE(exists("run/last/meta.json"));
    EXPECT_EQ(trained(train("run") + longer + Words{"--resume"}).at("steps"),
              read_json(path("whole/result.json")).at("steps"));
    expect_same_files(timeless_files_in(path("whole")), timeless_files_in(path("run")));
  }
};

TEST_F(Stopped, InterruptedByCtrlC) {
  stop_with(SIGINT);
}

TEST_F(Stopped, AmongBatchesOfOneDomain) {
  stop_with(SIGINT,
            {"--set", "sampler.kind=domain", "--set", "data.domains=[\"plain\",\"noisy\",\"blurred\"]"});
}

TEST_F(Stopped, WithValidationsOnTheWay) {
  stop_with(SIGTERM, {"--set", "measure.every=3%", "--set", "measure.target=30"});
}

TEST_F(Stopped, Terminated) {
  stop_with(SIGTERM);
}

TEST_F(Stopped, KilledAtAnyMoment) {
  const Words often{"--set", "train.checkpoint_every=3", "--set", "train.epochs=8"};
  trained(train("whole") + often);
  RandomStream random(3, "kills");
  int killed = 0;
  // A run saves for most of its time: half of the kills fall into the writing of a checkpoint.
  for (int i = 0; i < 10 && !exists("run/result.json"); ++i) {
    const ino_t before = identity(path("run/last"));
    Running running(train("run") + often + Words{"--resume"});
    if (i % 4 != 3) wait_until([&] { return running.ended() || identity(path("run/last")) != before; });
    pause_milliseconds(static_cast<int>(random.below(60)));
    running.send(SIGKILL);
    killed += running.wait().signal == SIGKILL ? 1 : 0;
  }
  EXPECT_GE(killed, 3);
  EXPECT_EQ(trained(train("run") + often + Words{"--resume"}).at("steps"), 200);
  expect_same_files(timeless_files_in(path("whole")), timeless_files_in(path("run")));
  expect_no_leftovers(path("run"));
}

TEST_F(Stopped, KilledWhileTheOldCheckpointIsRemoved) {
  trained(train("run"));
  const auto whole = timeless_files_in(path("run"));
  fs::remove(path("run/result.json"));
  copy("run/last", "run/last.tmp");
  copy("run/best", "run/best.tmp");
  trained(train("run") + Words{"--resume"});
  expect_same_files(whole, timeless_files_in(path("run")));
}

TEST_F(Stopped, ARunAtWorkIsNotDisturbed) {
  const Words longer{"--set", "train.epochs=1000"};
  Running running(train("run") + longer);
  wait_until([&] { return exists("run/metrics.jsonl"); });
  EXPECT_TRUE(contains(error_of(train("run") + longer + Words{"--resume"}), "another process is at work"));
  EXPECT_TRUE(contains(error_of(train("run") + longer), "already holds a run"));
  running.send(SIGTERM);
  EXPECT_EQ(running.wait().code, 1);
}

}  // namespace
}  // namespace refnorm
