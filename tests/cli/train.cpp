#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/base/text.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

class Train : public SmallRun {};

std::string weights_of(const std::string& file, const std::string& name) {
  const Safetensors content = read_safetensors(file, Checksum::kRequired);
  const RawTensor* tensor = content.find(name);
  return tensor != nullptr ? tensor->bytes : "none of this name";
}

TEST_F(Train, ARunFolderHoldsWhatTheDocumentationSays) {
  const Ended ended = run_program(train("run") + Words{"--json"});
  const Json result = json_of(ended);
  EXPECT_TRUE(contains(ended.err, "epoch 2/2"));  // all else on standard error
  EXPECT_EQ(result, read_json(path("run/result.json")));

  std::vector<std::string> names;
  for (const auto& [name, content] : files_in(path("run"))) names.push_back(name);
  EXPECT_EQ(names, (Words{"best/meta.json", "best/model.safetensors", "best/state.safetensors", "config.toml",
                          "last/meta.json", "last/model.safetensors", "last/state.safetensors",
                          "metrics.jsonl", "population.safetensors", "result.json"}));

  EXPECT_EQ(result.at("arm"), "RBN");
  EXPECT_EQ(result.at("seed"), 1);
  EXPECT_EQ(result.at("machine").at("threads_per_run"), 1);
  EXPECT_EQ(result.at("setup").at("training_samples"), 500);  // 600 − 100 held out
  EXPECT_EQ(result.at("setup").at("test_samples"), 200);
  EXPECT_EQ(result.at("steps"), 50);  // 2 epochs of 500 / 20
  EXPECT_EQ(result.at("diverged"), false);
  for (const char* mode : {"running", "population", "batch"}) {
    // Guessing one of ten places is wrong in 90 %.
    EXPECT_LT(result.at("test_error_pct_by_statistics").at(mode).get<double>(), 45) << mode;
  }
  EXPECT_EQ(result.at("test_error_pct"), result.at("test_error_pct_by_statistics").at("population"));
  EXPECT_EQ(result.at("test_error_pct"),
            result.at("test_error_pct_by_population_reading").at("blended_between"));
  double shares = 0;
  for (const Json& share : result.at("step_shares")) shares += share.get<double>();
  EXPECT_NEAR(shares, 1, 1e-6);
}

TEST_F(Train, TheMetricsOfARun) {
  const Json result = trained(train("run"));
  std::vector<Json> steps;
  std::vector<Json> epochs;
  for (const std::string& line : split(read_file(path("run/metrics.jsonl")), '\n')) {
    if (line.empty()) continue;
    const Json json = parse_json(line, "a line");
    (json.at("kind") == "step" ? steps : epochs).push_back(json);
  }
  ASSERT_EQ(steps.size(), 10U);  // every 5th of 50
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto step = static_cast<std::int64_t>(5 * (i + 1));
    EXPECT_EQ(steps[i].at("step"), step);
    EXPECT_EQ(steps[i].at("epoch"), step / 25);
    EXPECT_EQ(steps[i].at("lr"), 0.02);
  }
  EXPECT_LT(steps.back().at("loss").get<double>(), steps.front().at("loss").get<double>());
  ASSERT_EQ(epochs.size(), 2U);
  EXPECT_EQ(epochs[0].at("step"), 25);
  EXPECT_EQ(epochs[1].at("train_error_pct"), result.at("train_error_pct"));
  // An epoch's error is that of its five step lines, which are of as many samples each: 100 − their mean
  // accuracy.
  double accuracy = 0;
  for (std::size_t i = 5; i < 10; ++i) accuracy += steps[i].at("train_accuracy_pct").get<double>() / 5;
  EXPECT_NEAR(epochs[1].at("train_error_pct").get<double>(), 100 - accuracy, 1e-9);
  double best = 101;
  std::int64_t best_epoch = 0;
  for (const Json& epoch : epochs) {
    const double error = epoch.at("validation_error_pct");
    if (error < best) best_epoch = epoch.at("epoch");
    best = std::min(best, error);
  }
  EXPECT_EQ(result.at("best").at("validation_error_pct"), best);
  EXPECT_EQ(result.at("best").at("epoch"), best_epoch);
}

TEST_F(Train, ConfigTomlMakesTheRunAgain) {
  trained(train("run") +
          Words{"--seed", "5", "--set", "train.lr=0.03", "--set", "note=a \"note\"\nof two lines"});
  trained(Words{"train", path("run/config.toml"), "--out", path("again")});
  expect_same_files(timeless_files_in(path("run")), timeless_files_in(path("again")));
  EXPECT_TRUE(contains(read_file(path("run/config.toml")), "\nlr = 0.03\n"));  // as a person writes it
}

TEST_F(Train, SeedsDecideTheBitsAndArmsShareTheirFirstWeights) {
  // A rate of 0 leaves the weights that were drawn.
  const Words still{"--set", "train.lr=0", "--set", "train.epochs=1"};
  trained(train("none", "none") + still);
  trained(train("bn", "bn") + still);
  trained(train("other", "none") + still + Words{"--seed", "2"});
  const auto weights = [&](const std::string& run, const char* name) {
    return weights_of(path(run + "/last/model.safetensors"), name);
  };
  for (const char* name : {"conv1.weight", "fc3.weight", "fc3.bias"}) {
    EXPECT_TRUE(weights("none", name) == weights("bn", name)) << name;
    EXPECT_FALSE(weights("none", name) == weights("other", name)) << name;
  }
}

TEST_F(Train, ACompleteRunIsLeftAsItIs) {
  const Json first = trained(train("run"));
  EXPECT_TRUE(contains(error_of(train("run")), "already holds a run"));
  const auto before = files_in(path("run"));
  const auto written = fs::last_write_time(path("run"));
  const Ended again = run_program(train("run") + Words{"--resume", "--json"});
  EXPECT_EQ(json_of(again), first);
  EXPECT_EQ(again.err, "");
  expect_same_files(before, files_in(path("run")));
  EXPECT_EQ(fs::last_write_time(path("run")), written);

  const std::string other = error_of(train("run") + Words{"--resume", "--set", "train.lr=0.5"});
  EXPECT_TRUE(contains(other, "lr = 0.02")) << other;
  EXPECT_TRUE(contains(other, "lr = 0.5")) << other;
  EXPECT_TRUE(contains(error_of(train("run") + Words{"--resume", "--threads", "2"}), "threads = 1"));
  expect_same_files(before, files_in(path("run")));
}

TEST_F(Train, ResultJsonOfACompleteRunMayBeDamaged) {
  trained(train("run"));
  const std::string file = path("run/result.json");
  const std::string whole = read_file(file);
  const std::string comparison = "{\"recipe\": \"small\", \"arms\": []}";
  for (const std::string& text : {whole.substr(0, whole.size() / 2), comparison}) {
    write_file(file, text);
    EXPECT_TRUE(error_of(train("run") + Words{"--resume"}).starts_with(file + ": ")) << text;
  }
}

TEST_F(Train, AHopelessRunIsGivenUp) {
  // Nothing is learnt at a rate of 0; a quarter of 50 steps is 12.5, and a step line comes every 5th.
  const Ended ended = run_program(train("run") + Words{"--set", "train.lr=0", "--set", "train.give_up=0.25"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(contains(ended.out, "RBN was given up at step 15: its loss is no better than guessing"))
      << ended.out;
}

TEST_F(Train, DivergenceIsAResult) {
  const Ended ended = run_program(train("run", "BN") + Words{"--set", "train.lr=1e30", "--json"});
  const Json result = json_of(ended, 1);
  EXPECT_EQ(result.at("diverged"), true);
  EXPECT_EQ(result.at("test_error_pct"), nullptr);
  // After one step the weights are of the order of 1e29; products of two layers leave float's 3e38.
  const auto step = result.at("diverged_at").at("step").get<std::int64_t>();
  EXPECT_GE(step, 2);
  EXPECT_LE(step, 4);
  EXPECT_EQ(result.at("steps"), step - 1);  // done, before the one that broke
  const auto layer = result.at("diverged_at").at("layer").get<std::string>();
  const Words layers{"conv1", "norm1", "conv2", "norm2", "fc1", "norm3", "fc2", "norm4", "fc3"};
  EXPECT_NE(std::find(layers.begin(), layers.end(), layer), layers.end()) << layer;
  EXPECT_EQ(result, read_json(path("run/result.json")));
  EXPECT_TRUE(contains(run_program(train("run", "BN") + Words{"--set", "train.lr=1e30", "--resume"}).out,
                       "diverged"));
}

}  // namespace
}  // namespace refnorm
