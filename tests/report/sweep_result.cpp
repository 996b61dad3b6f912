#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/base/random.h>
#include <refnorm/report/sweep_page.h>
#include <refnorm/report/sweep_table.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"
#include "tests/report/sample_sweep.h"

namespace refnorm::report {
namespace {

using namespace testing;

TEST(SweepResult, ReadsWhatTheFileSays) {
  const Sweep sweep = parsed(sample_sweep());
  EXPECT_EQ(sweep.recipe, "lenet5-mnist-lab");
  EXPECT_EQ(sweep.seconds, 1834);
  ASSERT_EQ(sweep.axes.size(), 2U);
  EXPECT_EQ(sweep.axes[1].values, (std::vector<std::string>{"4", "16"}));
  EXPECT_EQ(sweep.tuned->seeds, (std::vector<std::uint64_t>{1001, 1002}));
  ASSERT_EQ(sweep.settings.size(), 4U);
  const Setting& setting = sweep.settings[2];
  EXPECT_EQ(setting.places, (std::vector<std::size_t>{1, 0}));
  EXPECT_EQ(setting_words(sweep, setting), "pk:2, batch 4");
  EXPECT_EQ(setting.divergence, 2.32);
  EXPECT_EQ(setting.arms[3].test_error.diverged, 10);
  EXPECT_EQ(setting.rates[1].chosen, 0.03);
  EXPECT_FALSE(setting.rates[1].tried[2].validation_error);
  EXPECT_EQ(sweep.baseline(), 1U);
}

// The labels' skew spreads from 0.39 to 2.32 bits in the sample.
TEST(SweepResult, TheSkewThatSpreadsMoreIsTheOneThatCounts) {
  Json json = sample_sweep();
  const auto set = [&](double least, double most) {
    for (std::size_t i = 0; i < 4; ++i) json["settings"][i]["group_divergence_bits"] = i == 3 ? most : least;
    return parsed(json);
  };
  EXPECT_EQ(set(0.1, 1.0).skew_of, "labels");
  EXPECT_EQ(set(0.1, 1.0).settings[3].divergence, 2.3);
  EXPECT_EQ(set(0.1, 2.2).skew_of, "domains or groups");
  EXPECT_EQ(set(0.1, 2.2).settings[0].divergence, 0.1);
  EXPECT_EQ(set(0.1, 2.2).settings[3].divergence, 2.2);
  json["settings"][1].erase("group_divergence_bits");
  EXPECT_EQ(parsed(json).skew_of, "labels") << "not every setting has the other one";
}

TEST(SweepResult, WhatMayBeMissing) {
  Json json = sample_sweep();
  json["note"] = "shortened";
  json.erase("tuned");
  json["axes"] = Json::array();
  json["settings"] = Json::array({json["settings"][0]});
  json["settings"][0]["values"] = Json::object();
  json["settings"][0]["label_divergence_bits"] = nullptr;
  for (Json& arm : json["settings"][0]["arms"]) {
    arm.erase("lr");
    arm.erase("tuning");
    arm["norm"] = "ln";
  }
  json["settings"][0]["arms"][0]["runs"] = Json::array();
  json["settings"][0]["arms"][0]["test_error_pct"] = to_json(summarize({}));
  const Sweep sweep = parsed(json);
  EXPECT_EQ(setting_words(sweep, sweep.settings[0]), "the one setting");
  EXPECT_EQ(sweep.baseline(), 0U);
  EXPECT_EQ(markup_fault(html_page(sweep, answer(sweep))), "");
}

TEST(SweepResult, EveryWrongWordIsOneLineThatNamesIt) {
  const std::vector<std::tuple<std::string, Json, std::string>> cases{
      {"/kind", "other", "kind: expected 'sweep', found the string 'other'"},
      {"/recipe", nullptr, "recipe: expected a string, found null"},
      {"/command", 1, "command: expected a string, found the number 1"},
      {"/seconds", -1, "seconds: expected a number from 0"},
      {"/axes/0/values", Json::array(), "axes[0].values: expected at least one value"},
      {"/axes/0/values/0", nullptr,
       "axes[0].values[0]: expected a string, a number, true or false, found null"},
      {"/axes/0/values/0", "pk:2", "axes[0].values[1]: the value stands twice"},
      {"/axes/1/key", "sampler.kind", "axes[1].key: two axes have this key"},
      {"/tuned/seeds/0", "x", "tuned.seeds[0]: expected an integer"},
      {"/settings", Json::array(), "settings: expected at least one setting"},
      {"/settings/1/values/sampler.kind", "sorted",
       "settings[1].values.sampler.kind: expected one of the axis's values: iid, pk:2, found the string "
       "'sorted'"},
      {"/settings/1/values/other", 1, "settings[1].values.other: no axis has this key"},
      {"/settings/1/values/train.batch_size", 4, "settings[1].values: settings[0] has the same values"},
      {"/settings/1/folder", "../x", "settings[1].folder: expected a folder inside"},
      {"/settings/1/label_divergence_bits", "much", "label_divergence_bits: expected a number"},
      {"/settings/1/arms", Json::array(), "settings[1].arms: expected at least one arm"},
      {"/settings/1/arms/2/name", "R", "settings[1].arms[2]: expected the first setting's arm 'RBN'"},
      {"/settings/1/arms/2/norm", "ln", "settings[1].arms[2]: expected the first setting's arm 'RBN'"},
      {"/settings/1/arms/2/lr", "fast", "settings[1].arms[2].lr: expected a number"},
      {"/settings/1/arms/2/tuning/0/value", nullptr, "tuning[0].value: expected a number"},
      {"/settings/1/arms/2/runs/0/test_error_pct", 101, "test_error_pct: expected a number from 0 to 100"},
      {"/settings/1/arms/2/test_error_pct/n", 3, "n: does not fit the runs, of which 10 count"}};
  for (const auto& [place, value, expected] : cases) {
    Json json = sample_sweep();
    json[Json::json_pointer(place)] = value;
    const std::string message = user_error_of([&] { parsed(json); });
    EXPECT_TRUE(contains(message, expected)) << place << ": " << message;
    EXPECT_TRUE(message.starts_with("result.json: ")) << message;
  }
  Json json = sample_sweep();
  json["settings"][3]["arms"].erase(3);
  EXPECT_EQ(user_error_of([&] { parsed(json); }),
            "result.json: settings[3].arms: 3 arms, but the first setting has 4");
  for (const char* key : {"recipe", "machine", "setup", "command", "seconds", "axes", "settings"}) {
    json = sample_sweep();
    json.erase(key);
    EXPECT_EQ(user_error_of([&] { parsed(json); }), fmt::format("result.json: {}: is missing", key));
  }
}

TEST(SweepResult, DamagedFilesGiveAPageOrOneLine) {
  const std::string text = sample_sweep(3).dump(1);
  RandomStream random(7, "damage");
  int understood = 0;
  for (int i = 0; i < 300; ++i) {
    try {
      const Sweep sweep = parsed(parse_json(mutate(text, random), "r"));
      const SweepAnswer found = answer(sweep);
      EXPECT_EQ(markup_fault(html_page(sweep, found)), "");
      EXPECT_FALSE(plain_table(sweep, found).empty());
      ++understood;
    } catch (const UserError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(understood, 10);
}

}  // namespace
}  // namespace refnorm::report
