#include <csignal>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;

/// Two samplers x two batch sizes of BN and RBN on small data, one epoch.
class Sweep : public SmallRun {
 protected:
  Sweep() {
    write_file(folder_ / "sweep.toml", read_file(folder_ / "pair.toml") +
                                           "[sweep]\nsampler.kind = [\"iid\", \"pk:2\"]\n"
                                           "train.batch_size = [10, 20]\n");
  }
  Words sweep(const std::string& out, const Words& more = {}) const {
    return Words{"sweep", path("sweep.toml"), "--seeds", "2", "--jobs", "2", "--out", path(out),
                 "--set", "train.epochs=1"} +
           more;
  }
  Words tuned(const std::string& out) const {
    return sweep(out, {"--set", "tune.lr=[0.001,0.05]", "--set", "sweep.sampler.kind=[\"iid\"]"});
  }
};

TEST_F(Sweep, EverySettingIsAComparison) {
  const Json result = json_of(sweep("all", {"--json"}));
  EXPECT_EQ(result, read_json(path("all/result.json")));
  EXPECT_EQ(result.at("kind"), "sweep");
  EXPECT_EQ(result.at("axes"), Json::parse(R"([{"key": "sampler.kind", "values": ["iid", "pk:2"]},
                                               {"key": "train.batch_size", "values": [10, 20]}])"));
  const std::string command = result.at("command");
  EXPECT_TRUE(command.starts_with("refnorm sweep " + path("sweep.toml") + " --seeds 2 --out ")) << command;
  EXPECT_TRUE(command.ends_with(" --set train.epochs=1")) << command;
  EXPECT_FALSE(result.contains("tuned"));
  EXPECT_FALSE(result.at("setup").contains("sampler")) << "differs between settings";
  EXPECT_FALSE(result.at("setup").contains("batch_size")) << "differs between settings";
  const std::vector<std::string> folders{"iid_10", "iid_20", "pk-2_10", "pk-2_20"};
  ASSERT_EQ(result.at("settings").size(), folders.size());
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const Json& setting = result.at("settings").at(i);
    EXPECT_EQ(setting.at("folder"), folders[i]);
    EXPECT_EQ(setting.at("values").at("sampler.kind"), i < 2 ? "iid" : "pk:2");
    EXPECT_EQ(setting.at("values").at("train.batch_size"), i % 2 == 0 ? 10 : 20);
    ASSERT_EQ(setting.at("arms").size(), 2U);
    for (const Json& arm : setting.at("arms")) {
      EXPECT_EQ(arm.at("runs").size(), 2U);
      EXPECT_FALSE(arm.contains("lr"));
    }
  }
  // Two of ten labels are 2.3 bits from the set; i.i.d. batches of 20 are 9 / (2 · 20 · ln 2) = 0.32 on
  // average.
  EXPECT_GT(result.at("settings").at(3).at("label_divergence_bits"), 2);
  EXPECT_LT(result.at("settings").at(1).at("label_divergence_bits"), 0.6);
  EXPECT_TRUE(exists("all/report.html"));
  EXPECT_TRUE(exists("all/table.md"));
  // A run of the sweep is the run that `train` makes of its setting's recipe, and a setting a comparison.
  trained({"train", path("all/pk-2_10/config.toml"), "--arm", "RBN", "--seed", "2", "--out", path("alone")});
  expect_same_files(timeless_files_in(path("alone")), timeless_files_in(path("all/pk-2_10/rbn/seed-2")));
  const Json alone = read_json(path("all/pk-2_10/result.json"));
  for (const char* folder : {"iid_10", "iid_20", "pk-2_10", "pk-2_20"}) {
    EXPECT_TRUE(exists(std::string("all/") + folder + "/report.html"));
    EXPECT_TRUE(contains(read_file(path("all/report.html")),
                         "<a href=\"./" + std::string(folder) + "/report.html\">"));
  }
  const Json compared = json_of({"compare", path("all/pk-2_10/config.toml"), "--seeds", "2", "--out",
                                 path("all/pk-2_10"), "--resume", "--json"});
  EXPECT_EQ(compared.at("arms"), result.at("settings").at(2).at("arms"));
  EXPECT_EQ(compared, alone);
}

TEST_F(Sweep, LearningRatesAreChosenOnValidationSamplesAlone) {
  const Json result = json_of(tuned("all") + Words{"--set", "tune.seeds=2", "--json"});
  EXPECT_EQ(result.at("tuned"),
            Json::parse(R"({"key": "train.lr", "values": [0.001, 0.05], "seeds": [1001, 1002],
                                                "rule": "lowest mean validation error"})"));
  bool rates_differ = false;
  for (const Json& setting : result.at("settings")) {
    for (const Json& arm : setting.at("arms")) {
      double least = 101, chosen = 0;
      ASSERT_EQ(arm.at("tuning").size(), 2U);
      for (const Json& trial : arm.at("tuning")) {
        double mean = 0;
        for (const char* seed : {"seed-1001", "seed-1002"}) {
          const std::string norm = arm.at("norm");
          const std::string lr = trial.at("value") == 0.001 ? "-lr-0-001/" : "-lr-0-05/";
          const Json run = read_json(path("all/" + setting.at("folder").get<std::string>() + "/tuning/" +
                                          norm + lr + seed + "/result.json"));
          for (const char* key : {"test_error_pct", "test_error_pct_by_statistics", "worst_class"})
            EXPECT_FALSE(run.contains(key)) << "the test set was read";
          mean += run.at("validation_error_pct").get<double>() / 2;
        }
        EXPECT_DOUBLE_EQ(trial.at("validation_error_pct"), mean);
        if (mean < least) chosen = trial.at("value");
        rates_differ = rates_differ || (least <= 100 && mean != least);
        least = std::min(least, mean);
      }
      EXPECT_EQ(arm.at("lr"), chosen);
      EXPECT_TRUE(contains(read_file(path("all/" + setting.at("folder").get<std::string>() + "/config.toml")),
                           "lr = " + std::string(chosen == 0.001 ? "0.001" : "0.05") + "\n"));
    }
  }
  EXPECT_TRUE(rates_differ);  // else nothing was chosen
}

TEST_F(Sweep, AHopelessTrialStopsEarlyAndIsNotChosen) {
  const Json result =
      json_of(sweep("all", {"--set", "tune.lr=[0,0.02]", "--set", "sweep.sampler.kind=[\"iid\"]", "--set",
                            "sweep.train.batch_size=[20]", "--json"}));
  const Json& arm = result.at("settings").at(0).at("arms").at(0);
  EXPECT_EQ(arm.at("tuning").at(0).at("validation_error_pct"), nullptr);
  EXPECT_EQ(arm.at("lr"), 0.02);
  const Json run = read_json(path("all/iid_20/tuning/bn-lr-0/seed-1001/result.json"));
  EXPECT_EQ(run.at("diverged"), true);
  EXPECT_EQ(run.at("diverged_at").at("given_up"), "no better than guessing");
  // A quarter of 25 steps is 7, and the first line after that comes at step 10.
  EXPECT_EQ(run.at("steps"), 10);
}

TEST_F(Sweep, KilledAndResumedIsWhatRanThrough) {
  Running running(tuned("all"));
  wait_until([&] { return exists("all/iid_10/rbn/seed-1/metrics.jsonl"); });
  running.send(SIGKILL);
  running.wait();
  EXPECT_TRUE(contains(error_of(tuned("all")), "already holds a sweep"));
  EXPECT_TRUE(
      contains(error_of(tuned("all") + Words{"--resume", "--set", "train.momentum=0.5"}), "momentum"));
  json_of(tuned("all") + Words{"--resume", "--json"});
  json_of(tuned("whole") + Words{"--json"});
  auto all = timeless_files_in(path("all"));
  auto whole = timeless_files_in(path("whole"));
  for (auto* files : {&all, &whole}) {
    files->erase("result.json");                             // the command
    for (const char* folder : {"", "iid_10/", "iid_20/"}) {  // they show times
      for (const char* file : {"table.md", "report.html", "curves.svg"})
        files->erase(std::string(folder) + file);
    }
  }
  expect_same_files(whole, all);
  Json resumed = read_json(path("all/result.json")), through = read_json(path("whole/result.json"));
  for (Json* result : {&resumed, &through}) {
    for (const char* key : {"seconds", "command"}) result->erase(key);
    for (Json& setting : (*result)["settings"]) {
      for (Json& arm : setting["arms"]) {
        for (Json& run : arm["runs"]) {
          for (const char* key : {"seconds", "total_seconds", "images_per_second", "step_shares"})
            run.erase(key);
        }
      }
    }
  }
  EXPECT_EQ(resumed, through);
}

TEST_F(Sweep, WrongWordsAreOneLine) {
  const auto error = [&](const std::string& value) { return error_of(sweep("all", {"--set", value})); };
  EXPECT_EQ(error("sweep.train.batch_siz=[1]"),
            "sweep: 'train.batch_siz' is not a key of a recipe, did you mean 'train.batch_size'?");
  EXPECT_TRUE(contains(error("sweep.train.batch_size=[0]"), "train.batch_size is 0, expected"));
  EXPECT_TRUE(contains(error("sweep.sampler.kind=[\"pk:11\"]"), "pk"));
  EXPECT_TRUE(contains(error("sweep.sampler.kind=\"iid\""), "expected a list of at least one value"));
  EXPECT_TRUE(contains(error("sweep.sampler.kind=[\"pk:2\", \"pk-2\"]"), "two settings"));
  const std::string untunable =
      error_of(sweep("all", {"--set", "tune.lr=[0.1]", "--set", "data.validation=0"}));
  EXPECT_TRUE(contains(untunable, "data.validation is 0")) << untunable;
  EXPECT_FALSE(exists("all"));
  EXPECT_TRUE(contains(error_of({"compare", path("sweep.toml"), "--out", path("all")}), "refnorm sweep"));
  EXPECT_TRUE(
      contains(error_of({"train", path("sweep.toml"), "--arm", "BN", "--out", path("all")}), "sweep"));
}

}  // namespace
}  // namespace refnorm
