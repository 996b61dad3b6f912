#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/report/gradients.h>
#include <refnorm/report/report.h>

#include "tests/base/helpers.h"
#include "tests/report/sample.h"

namespace refnorm {
namespace {

using namespace testing;

std::string step_line(int step, const std::string& norms) {
  return R"({"kind":"step","step":)" + std::to_string(step) +
         R"(,"train_accuracy_pct":50,"gradient_norm":{)" + norms + "}}\n";
}

const std::string kOtherLines = R"({"kind":"epoch","step":2,"epoch":1})"
                                "\n"
                                R"({"kind":"step","step":3,"train_accuracy_pct":50})"
                                "\n";

TEST(Gradients, AreReadByLayerInTheNetworksOrder) {
  const report::GradientTrace trace = report::parse_gradients(
      step_line(1, R"("conv2":0.5,"conv1":2)") + kOtherLines + step_line(5, R"("conv2":0.25,"conv1":null)"),
      "m.jsonl");
  EXPECT_EQ(trace.layers, (std::vector<std::string>{"conv2", "conv1"}));
  EXPECT_EQ(trace.norms.at("conv2"), (std::map<std::uint64_t, double>{{1, 0.5}, {5, 0.25}}));
  EXPECT_EQ(trace.norms.at("conv1"), (std::map<std::uint64_t, double>{{1, 2}}));
  EXPECT_EQ(
      user_error_of([] { report::parse_gradients(step_line(1, R"("conv1":-1)"), "m.jsonl"); }).substr(0, 9),
      "m.jsonl:1");
}

class GradientFigure : public ::testing::Test {
 protected:
  /// Two arms of two runs; BN alone has a norm's layer.
  report::Result result() const {
    Json document =
        sample_document({sample_arm("none", {1.0, 1.1}, "none"), sample_arm("BN", {0.8, 0.9}, "bn")});
    return report::parse_result(document, "result.json");
  }
  void write(const std::string& run, const std::string& text) const {
    make_folder(folder_.path() / run);
    write_file(folder_.path() / run / "metrics.jsonl", text);
  }
  TemporaryFolder folder_;
};

TEST_F(GradientFigure, HasAPanelForEachCommonLayerAndMeansOverRuns) {
  write("none/seed-1", step_line(1, R"("conv1":1,"fc1":4)"));
  write("none/seed-2", step_line(1, R"("conv1":3,"fc1":4)"));
  for (const char* run : {"bn/seed-1", "bn/seed-2"})
    write(run, step_line(1, R"("conv1":0.125,"norm1":7,"fc1":4)"));
  const std::string svg = report::gradients_svg(folder_.path(), result());
  // The mean of 1 and 3.
  EXPECT_TRUE(contains(svg, "none, conv1, step 1: 2 (1 to 3, 2 runs)")) << svg;
  EXPECT_TRUE(contains(svg, "BN, conv1, step 1: 0.125 (0.125 to 0.125, 2 runs)"));
  EXPECT_TRUE(contains(svg, "none, fc1, step 1: 4"));
  EXPECT_FALSE(contains(svg, "norm1")) << "an arm does not have it";
}

TEST_F(GradientFigure, ShowsSixLayersOfADeepNetworkTheFirstAndTheLastAmongThem) {
  std::string norms;
  for (int i = 0; i < 16; ++i) {
    if (i > 0) norms += ",";
    norms += "\"conv" + std::to_string(i) + "\":1";
  }
  for (const char* run : {"none/seed-1", "none/seed-2", "bn/seed-1", "bn/seed-2"})
    write(run, step_line(1, norms));
  const std::string svg = report::gradients_svg(folder_.path(), result());
  // Places 0, 15/5, ... 15 of 0 to 15.
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(contains(svg, "none, conv" + std::to_string(i) + ","), i % 3 == 0) << i;
}

TEST_F(GradientFigure, IsLeftOutWithoutData) {
  EXPECT_EQ(report::gradients_svg(folder_.path(), result()), "");
  write("bn/seed-1", kOtherLines);
  EXPECT_EQ(report::gradients_svg(folder_.path(), result()), "");
}

TEST_F(GradientFigure, ThePageShowsWhatRunsWereMeasuredFor) {
  Json document =
      sample_document({sample_arm("none", {1.0, 1.1}, "none"), sample_arm("BN", {0.8, 0.9}, "bn")});
  for (Json& arm : document["arms"]) {
    for (Json& run : arm["runs"]) {
      run["worst_class"] = {{"name", "9"}, {"test_error_pct", 3.25}};
      run["same_data"] = {
          {"samples", 5000}, {"in_training_error_pct", 7.5}, {"in_evaluation_error_pct", 6.5}};
      run["robustness"] = {{"noisy:0.3", 12.5}, {"pgd:0.1", 88.5}};
    }
  }
  write_file(folder_.path() / "result.json", document.dump());
  write("bn/seed-1", step_line(1, R"("conv1":0.125)"));
  report::write_report(folder_.path());
  const std::string page = read_file(folder_.path() / "report.html");
  for (const char* words : {"A closer look", "worst class %", "3.25", "in training %", "7.50",
                            "in evaluation %", "6.50", "Test error on changed pictures, %", "noisy:0.3",
                            "12.50", "pgd:0.1", "88.50", "Gradients by layer", "BN, conv1, step 1: 0.125"})
    EXPECT_TRUE(contains(page, words)) << words;
}

}  // namespace
}  // namespace refnorm
