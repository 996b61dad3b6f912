#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/text.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;

/// Runs whose batches are from one domain or one group each, and runs on a part of the training set.
class Grouped : public SmallRun {
 protected:
  std::vector<Json> step_lines(const std::string& run) const {
    std::vector<Json> steps;
    for (const std::string& text : split(read_file(path(run + "/metrics.jsonl")), '\n')) {
      if (text.empty()) continue;
      const Json line = parse_json(text, "a line");
      if (line.at("kind") == "step") steps.push_back(line);
    }
    return steps;
  }
  /// Group 'rare' has the 15 samples from `first` on, 'a' and 'b' the others in turn.
  void write_groups() const {
    std::string text = "index,group\n";
    for (int i = 0; i < 600; ++i)
      text += std::to_string(i) + (i < 15 ? ",rare\n" : i % 2 == 0 ? ",a\n" : ",b\n");
    write_file(folder_ / "groups.csv", text);
  }

  const Words domains_{"--set", "data.domains=[\"plain\",\"inverted\",\"rotated\",\"noisy\",\"blurred\"]"};
};

TEST_F(Grouped, BatchesOfOneDomain) {
  const Json result = trained(train("run") + domains_ + Words{"--set", "sampler.kind=domain"});
  EXPECT_EQ(result.at("setup").at("domains"), "plain, inverted, rotated, noisy, blurred");
  EXPECT_EQ(result.at("setup").count("samples_never_drawn"), 0U);
  EXPECT_LE(result.at("sample_uses").at("most"), 2);  // 2 epochs
  for (const Json& line : step_lines("run")) {
    EXPECT_EQ(line.at("group_entropy_bits"), 0);
    EXPECT_NEAR(line.at("group_divergence_bits").get<double>(), 2.3, 0.4);  // log2 5
    EXPECT_GT(line.at("label_entropy_bits"), 2);
  }
}

TEST_F(Grouped, IidBatchesMixDomains) {
  trained(train("run") + domains_);
  for (const Json& line : step_lines("run")) EXPECT_GT(line.at("group_entropy_bits"), 1.5);
  trained(train("without"));
  EXPECT_EQ(step_lines("without").front().count("group_entropy_bits"), 0U);
}

TEST_F(Grouped, BatchesOfOneGroupOfACsvFile) {
  write_groups();
  const Words words = train("run") + Words{"--json",
                                           "--set",
                                           "data.groups=" + path("groups.csv"),
                                           "--set",
                                           "sampler.kind=group",
                                           "--set",
                                           "data.validation=0"};
  const Ended ended = run_program(words);
  const Json result = json_of(ended);
  EXPECT_TRUE(contains(ended.err, "15 of 600 training samples are never drawn")) << ended.err;
  EXPECT_EQ(result.at("setup").at("groups"), 3);
  EXPECT_EQ(result.at("setup").at("samples_never_drawn"), 15);
  EXPECT_GE(result.at("sample_uses").at("never"), 15);
  EXPECT_EQ(result.at("steps"), 2 * (292 / 20 + 293 / 20));
  for (const Json& line : step_lines("run")) EXPECT_EQ(line.at("group_entropy_bits"), 0);
}

TEST_F(Grouped, APartOfTheTrainingSet) {
  const Json result = trained(train("run") + Words{"--set", "data.samples=300"});
  EXPECT_EQ(result.at("setup").at("training_samples"), 300);
  EXPECT_EQ(result.at("setup").at("validation_samples"), 100);
  EXPECT_EQ(result.at("steps"), 30);
}

TEST_F(Grouped, ACompareCountsItsBatches) {
  write_groups();
  const Json result = trained(compare("all", 1) + Words{"--set", "data.groups=" + path("groups.csv"), "--set",
                                                        "sampler.kind=group", "--set", "data.samples=400"});
  EXPECT_EQ(result.at("setup").at("training_samples"), 400);
  EXPECT_EQ(result.at("setup").at("sampler"), "group");
  EXPECT_GT(result.at("setup").at("samples_never_drawn"), 0);
  EXPECT_EQ(result.at("arms").size(), 2U);
}

}  // namespace
}  // namespace refnorm
