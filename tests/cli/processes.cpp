#include <csignal>
#include <cstring>
#include <memory>

#include <gtest/gtest.h>
#include <unistd.h>

#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/base/text.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class Processes : public SmallRun {
 protected:
  static Words together(int processes) { return {"--nproc", std::to_string(processes), "--threads", "1"}; }

  /// The weights of a run's last checkpoint.
  Safetensors weights(const std::string& run) const {
    return read_safetensors(path(run + "/last/model.safetensors"));
  }
  /// Children of a run that is at work.
  std::vector<pid_t> children(const Running& running) const {
    std::vector<pid_t> found;
    for (const pid_t pid : processes_naming(path("recipe.toml"))) {
      if (pid != running.pid()) found.push_back(pid);
    }
    return found;
  }
  /// A run of many epochs, with checkpoints every other step, that has one.
  std::unique_ptr<Running> begin_long(const std::string& out, const Words& more) const {
    auto running = std::make_unique<Running>(train(out) + longer() + more);
    wait_until([&] { return running->ended() || exists(out + "/last/meta.json"); });
    return running;
  }
  static Words longer() { return {"--set", "train.epochs=40", "--set", "train.checkpoint_every=2"}; }
};

void expect_near(const Safetensors& a, const Safetensors& b, float tolerance) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    ASSERT_EQ(a.tensors[i].first, b.tensors[i].first);
    const RawTensor& x = a.tensors[i].second;
    const RawTensor& y = b.tensors[i].second;
    if (x.dtype != "F32") continue;
    float worst = 0;
    for (std::size_t at = 0; at + sizeof(float) <= x.bytes.size(); at += sizeof(float)) {
      float one = 0;
      float other = 0;
      std::memcpy(&one, x.bytes.data() + at, sizeof one);
      std::memcpy(&other, y.bytes.data() + at, sizeof other);
      worst = std::max(worst, std::abs(one - other));
    }
    EXPECT_LE(worst, tolerance) << a.tensors[i].first;
  }
}

// A step of two processes and one that accumulates two batches see the same samples. What is left is
// rounding, which 24 steps of training have not made large.
TEST_F(Processes, TrainAsOneDoesThatAccumulates) {
  const Json alone = trained(train("alone", "none") + Words{"--set", "train.accumulate=2"});
  const Json two = trained(train("two", "none") + together(2));
  EXPECT_EQ(two.at("steps"), 24);
  EXPECT_EQ(alone.at("steps"), 24);
  expect_near(weights("two"), weights("alone"), 1e-4F);
  EXPECT_NEAR(two.at("test_error_pct").get<double>(), alone.at("test_error_pct").get<double>(), 1);
  EXPECT_EQ(two.at("sample_uses"), alone.at("sample_uses"));
  EXPECT_EQ(two.at("setup").at("processes"), 2);
  EXPECT_TRUE(contains(read_file(path("two/config.toml")), "processes = 2\n"));
  // metrics.jsonl is of both, too.
  const auto losses = [&](const std::string& run) {
    std::vector<double> found;
    for (const std::string& line : split(read_file(path(run + "/metrics.jsonl")), '\n')) {
      if (line.empty()) continue;
      const Json json = parse_json(line, "line");
      found.push_back(json.contains("loss") ? json.at("loss").get<double>()
                                            : json.at("train_loss").get<double>());
    }
    return found;
  };
  const auto ours = losses("two");
  const auto expected = losses("alone");
  ASSERT_EQ(ours.size(), expected.size());
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], expected[i], 1e-3);
}

TEST_F(Processes, TrainWithSynchronizedStatisticsAndReferencesOfTheirOwn) {
  const Json result =
      trained(train("run") + together(2) +
              Words{"--set", "train.sync_statistics=true", "--set", "reference.per_process=true"});
  EXPECT_TRUE(result.at("setup").at("synchronized_statistics").get<bool>());
  EXPECT_TRUE(result.at("setup").at("reference_per_process").get<bool>());
  EXPECT_LT(result.at("test_error_pct").get<double>(), 50);
  EXPECT_TRUE(exists("run/population.safetensors"));
}

TEST_F(Processes, StopAtCtrlCAndGoOnToTheSameBits) {
  // References of their own and random streams of their own are in the checkpoint.
  const Words how = Words{"--set", "reference.per_process=true", "--set", "train.epochs=6"} + together(2);
  trained(train("whole") + how);
  Running running(train("run") + how);
  wait_until([&] { return exists("run/metrics.jsonl") && fs::file_size(path("run/metrics.jsonl")) > 0; });
  running.send(SIGINT);
  const Ended ended = running.wait();
  EXPECT_TRUE(error_of(ended, 1).starts_with("stopped after step ")) << ended.err;
  EXPECT_TRUE(exists("run/last/meta.json"));
  EXPECT_FALSE(exists("run/result.json"));
  // How many processes there were is kept.
  trained(train("run") + Words{"--set", "reference.per_process=true", "--set", "train.epochs=6", "--resume"});
  expect_same_files(timeless_files_in(path("whole")), timeless_files_in(path("run")));
}

TEST_F(Processes, EndWithOneLineWhereOneIsKilledAndGoOnWithAnotherNumber) {
  const auto running = begin_long("run", together(3));
  std::vector<pid_t> pids = children(*running);
  ASSERT_EQ(pids.size(), 3U);
  kill(pids.back(), SIGKILL);
  const std::string message = error_of(running->wait(), 1);
  EXPECT_TRUE(contains(message, " of 3 was ended by signal 9 (Killed); ")) << message;
  EXPECT_TRUE(contains(message, "/last is saved, the same command with --resume goes on")) << message;
  EXPECT_TRUE(processes_naming(path("recipe.toml")).empty());

  const std::int64_t steps = read_json(path("run/last/meta.json")).at("step").get<std::int64_t>();
  ASSERT_LT(steps, 40 * 8);
  const Json result = trained(train("run") + longer() + together(2) + Words{"--resume"});
  // 25 batches an epoch: 8 steps of three, then 12 of two. Those of the begun epoch follow from what is left.
  const std::int64_t epochs = steps / 8;
  const std::int64_t left = (25 - steps % 8 * 3) / 2;
  EXPECT_EQ(result.at("steps"), steps + left + (40 - epochs - 1) * 12);
  EXPECT_EQ(result.at("batches_a_step").size(), 2U);
  EXPECT_EQ(result.at("setup").at("processes"), 2);
  EXPECT_TRUE(contains(read_file(path("run/config.toml")), "processes = 2\n"));
}

TEST_F(Processes, EndWithOneLineWhereOneIsSilent) {
  const auto running = begin_long("run", together(2) + Words{"--peer-timeout", "2"});
  const std::vector<pid_t> pids = children(*running);
  ASSERT_EQ(pids.size(), 2U);
  kill(pids.back(), SIGSTOP);
  const std::string message = error_of(running->wait(), 1);
  EXPECT_TRUE(contains(message, "no word from another process for 2 s (--peer-timeout)")) << message;
  EXPECT_TRUE(contains(message, "/last is saved, the same command with --resume goes on")) << message;
  EXPECT_TRUE(processes_naming(path("recipe.toml")).empty());
}

/// The program as one of several, as a launcher starts it.
Words started_by(const Words& variables, const Words& words) {
  return Words{"env"} + variables + Words{program()} + words;
}

TEST_F(Processes, FindTheirPlaceInALaunchersVariables) {
  const Words where{"OMPI_COMM_WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1",
                    "MASTER_PORT=" + std::to_string(20000 + getpid() % 20000)};
  Subprocess second(started_by(where + Words{"OMPI_COMM_WORLD_RANK=1"}, train("run")));
  Subprocess first(started_by(where + Words{"OMPI_COMM_WORLD_RANK=0"}, train("run")), path("first.log"));
  EXPECT_EQ(first.wait().code, 0) << read_file(path("first.log"));
  EXPECT_EQ(second.wait().code, 0);
  EXPECT_EQ(read_json(path("run/result.json")).at("setup").at("processes"), 2);
}

TEST_F(Processes, RefuseWhatContradicts) {
  const auto error = [&](const Words& variables, const Words& words) {
    Subprocess process(started_by(variables, words), path("said"));
    EXPECT_EQ(process.wait().code, 2);
    const std::string said = read_file(path("said"));
    fs::remove(path("said"));
    return said;
  };
  EXPECT_EQ(
      error({"RANK=0"}, train("run")),
      "refnorm: error: WORLD_SIZE: is not set, but RANK is; expected all variables of a launcher, or none\n");
  const Words four{"RANK=0", "WORLD_SIZE=4", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=1"};
  EXPECT_EQ(
      error(four, train("run") + Words{"--nproc", "2"}),
      "refnorm: error: --nproc: is 2, but torchrun has started 4 processes; expected the one or the other\n");
  EXPECT_TRUE(
      contains(error(four, compare("run")), "refnorm: error: compare: torchrun has started 4 processes"));
  EXPECT_FALSE(exists("run"));
  // More processes than an epoch has batches; and what is wrong in all of them is said once.
  EXPECT_TRUE(contains(error_of(train("run") + together(2) + Words{"--set", "train.accumulate=20"}),
                       "train.accumulate: 40 batches a step of 2 processes, an epoch has 25"));
  EXPECT_TRUE(
      contains(error_of(train("run") + together(2) + Words{"--set", "data.path=nowhere"}), "nowhere"));
  EXPECT_FALSE(exists("run/last"));
}

}  // namespace
}  // namespace refnorm
