#include <vector>

#include <gtest/gtest.h>

#include <refnorm/report/metrics.h>
#include <refnorm/report/result.h>

#include "tests/base/helpers.h"
#include "tests/report/sample.h"

namespace refnorm::report {
namespace {

using namespace testing;

std::string error_of(const Json& document) {
  return user_error_of([&] { parse_result(document, "DIR/result.json"); });
}

Json good() {
  const Json mixed = Json::array(
      {sample_run(1, 0.8, "rbn/seed-1"), diverged_run(2, "rbn/seed-2"), failed_run(3, "rbn/seed-3")});
  return sample_document({sample_arm("BN", {0.9, 1.0}, "bn"), arm_of("RBN", mixed)});
}

TEST(Result, ReadsWhatTheFileSays) {
  Json document = good();
  document["note"] = "shortened";
  document["paper"] = {{"figure", "Figure 2"}};
  const Result result = parse_result(document, "result.json");
  EXPECT_EQ(result.recipe, "lenet5-mnist");
  EXPECT_EQ(result.note, "shortened");
  EXPECT_EQ(result.paper["figure"], "Figure 2");
  ASSERT_EQ(result.arms.size(), 2U);
  const Arm& arm = result.arms[1];
  EXPECT_EQ(arm.name, "RBN");
  EXPECT_EQ(arm.failed(), 1U);
  EXPECT_EQ(arm.test_error.n, 1);
  EXPECT_EQ(arm.test_error.diverged, 1);
  ASSERT_EQ(arm.runs.size(), 3U);
  EXPECT_TRUE(arm.runs[0].counts());
  EXPECT_EQ(value_of(arm.runs[0].by_statistics, "population"), 0.8);
  EXPECT_FALSE(value_of(arm.runs[0].by_statistics, "batch"));
  EXPECT_EQ(arm.runs[0].best, "0.70 %, epoch 9");
  EXPECT_EQ(arm.runs[1].diverged_at, "step 17, layer conv1");
  EXPECT_EQ(arm.runs[2].failed, "out of memory");
  EXPECT_FALSE(arm.runs[1].counts() || arm.runs[2].counts());
}

TEST(Result, ARunThatWasGivenUpHasNoLayer) {
  Json document = good();
  document["arms"][1]["runs"][1]["diverged_at"] = {{"step", 17}, {"given_up", "no better than guessing"}};
  EXPECT_EQ(parse_result(document, "r").arms[1].runs[1].diverged_at, "step 17, no better than guessing");
}

TEST(Result, EveryMissingFieldIsNamed) {
  const std::vector<std::pair<std::string, std::string>> fields{{"", "recipe"},
                                                                {"", "machine"},
                                                                {"", "setup"},
                                                                {"", "arms"},
                                                                {"/arms/0", "name"},
                                                                {"/arms/0", "norm"},
                                                                {"/arms/0", "runs"},
                                                                {"/arms/0", "test_error_pct"},
                                                                {"/arms/0/test_error_pct", "mean"},
                                                                {"/arms/0/test_error_pct", "ci95"},
                                                                {"/arms/0/test_error_pct", "n"},
                                                                {"/arms/0/runs/1", "seed"},
                                                                {"/arms/0/runs/1", "folder"},
                                                                {"/arms/0/runs/1", "diverged"},
                                                                {"/arms/0/runs/1", "test_error_pct"},
                                                                {"/arms/0/runs/1", "train_error_pct"},
                                                                {"/arms/0/runs/1", "seconds"}};
  for (const auto& [parent, key] : fields) {
    Json document = good();
    document[Json::json_pointer(parent)].erase(key);
    const std::string message = error_of(document);
    EXPECT_TRUE(message.starts_with("DIR/result.json: ")) << message;
    EXPECT_TRUE(contains(message, key + ": is missing")) << message;
  }
  Json document = good();
  document["arms"][0]["runs"][1].erase("seed");
  EXPECT_EQ(error_of(document), "DIR/result.json: arms[0].runs[1].seed: is missing");
}

TEST(Result, EveryValueOfAWrongKindOrRangeIsNamed) {
  const std::vector<std::tuple<std::string, Json, std::string>> cases{
      {"/recipe", 3, "recipe: expected a string, found the number 3"},
      {"/recipe", " ", "recipe: expected a name, found nothing"},
      {"/note", Json::array(), "note: expected a string, found an array"},
      {"/machine", "fast", "machine: expected an object, found the string 'fast'"},
      {"/paper", 1, "paper: expected an object"},
      {"/arms", Json::object(), "arms: expected an array, found an object"},
      {"/arms", Json::array(), "arms: expected at least one arm"},
      {"/arms/0", nullptr, "arms[0]: expected an object, found null"},
      {"/arms/1/name", "BN", "arms[1].name: two arms have this name"},
      {"/arms/0/runs/0", "x", "arms[0].runs[0]: expected an object"},
      {"/arms/0/runs/0/seed", -1, "seed: expected an integer from 0 on, found the number -1"},
      {"/arms/0/runs/0/seed", 1.5, "seed: expected an integer from 0 on, found the number 1.5"},
      {"/arms/0/runs/1/seed", 1, "arms[0].runs[1].seed: the seed stands twice"},
      {"/arms/0/runs/0/folder", "../../etc", "folder: expected a folder inside the comparison's"},
      {"/arms/0/runs/0/folder", "/etc", "folder: expected a folder inside the comparison's"},
      {"/arms/0/runs/0/diverged", 0, "diverged: expected true or false, found the number 0"},
      {"/arms/0/runs/0/test_error_pct", nullptr,
       "test_error_pct: expected a number from 0 to 100, found null"},
      {"/arms/0/runs/0/test_error_pct", 101, "test_error_pct: expected a number from 0 to 100"},
      {"/arms/0/runs/0/test_error_pct_by_statistics", Json::array(), "expected an object, found an array"},
      {"/arms/0/runs/0/test_error_pct_by_statistics/running", "low", "running: expected a number"},
      {"/arms/0/runs/0/seconds", 1e300, "seconds: expected a number from 0 to"},
      {"/arms/0/runs/0/best", 3, "best: expected an object"},
      {"/arms/1/runs/1/test_error_pct", 1.0, "expected null, as the run diverged"},
      {"/arms/1/runs/1/failed", "oom", "either diverged or failed"},
      {"/arms/1/runs/2/failed", 1, "failed: expected a string"},
      {"/arms/0/test_error_pct/mean", 1.0, "mean: does not fit the runs, whose mean is 0.9500"},
      {"/arms/0/test_error_pct/mean", nullptr, "mean: does not fit the runs"},
      {"/arms/0/test_error_pct/n", 3, "n: does not fit the runs, of which 2 count"},
      {"/arms/0/test_error_pct/diverged", 1, "diverged: does not fit the runs, of which 0 diverged"},
      {"/arms/0/test_error_pct/ci95", Json::array({1}), "ci95: expected [low, high] or null"},
      {"/arms/0/test_error_pct/ci95", Json::array({1, "x"}), "ci95[1]: expected a number"}};
  for (const auto& [place, value, expected] : cases) {
    Json document = good();
    document[Json::json_pointer(place)] = value;
    const std::string message = error_of(document);
    EXPECT_TRUE(contains(message, expected)) << place << ": " << message;
  }
}

TEST(Result, TheDocumentItselfOfAWrongKind) {
  for (const Json& document : {Json(nullptr), Json(1), Json("x"), Json::array()}) {
    EXPECT_TRUE(contains(error_of(document), "expected an object"));
  }
}

TEST(Metrics, StepLinesInOrder) {
  const auto points = parse_metrics(
      R"({"kind":"step","step":50,"train_accuracy_pct":80.5,"loss":1}
{"kind":"epoch","step":60,"epoch":1}
{"kind":"step","step":100,"train_accuracy_pct":null,"loss":null}
{"kind":"step","step":150,"train_accuracy_pct":90}
)",
      "m");
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].step, 50U);
  EXPECT_EQ(points[0].accuracy, 80.5);
  EXPECT_EQ(points[1].step, 150U);
}

TEST(Metrics, ATornLastLineIsIgnoredWhereverItIsTorn) {
  const std::string first = R"({"kind":"step","step":50,"train_accuracy_pct":80.5})";
  const std::string second = R"({"kind":"step","step":100,"train_accuracy_pct":90.5})";
  for (std::size_t cut = 0; cut < second.size(); ++cut) {
    EXPECT_EQ(parse_metrics(first + "\n" + second.substr(0, cut), "m").size(), 1U) << cut;
  }
  EXPECT_EQ(parse_metrics(first + "\n" + second, "m").size(), 2U);
  EXPECT_EQ(parse_metrics(first + "\n" + std::string(100, '\0'), "m").size(), 1U);
  EXPECT_TRUE(parse_metrics("", "m").empty());
}

TEST(Metrics, AnyOtherMalformedLineIsNamed) {
  const std::string line = R"({"kind":"step","step":50,"train_accuracy_pct":80.5})";
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({"kind":"step","st)", "not valid JSON"},
      {"", "not valid JSON"},
      {"[]", "expected an object, found an array"},
      {R"({"step":1})", "kind: is missing"},
      {R"({"kind":1})", "kind: expected a string"},
      {R"({"kind":"step","train_accuracy_pct":1})", "step: is missing"},
      {R"({"kind":"step","step":-5,"train_accuracy_pct":1})", "step: expected an integer"},
      {R"({"kind":"step","step":5})", "train_accuracy_pct: is missing"},
      {R"({"kind":"step","step":5,"train_accuracy_pct":1e999})", "too large"},
      {R"({"kind":"step","step":5,"train_accuracy_pct":100.5})", "expected a number from 0 to 100"}};
  for (const auto& [bad, expected] : cases) {
    const std::string text = line + "\n" + bad + "\n" + line + "\n";
    const std::string message = user_error_of([&] { parse_metrics(text, "seed-1/metrics.jsonl"); });
    EXPECT_TRUE(message.starts_with("seed-1/metrics.jsonl:2: ")) << message;
    EXPECT_TRUE(contains(message, expected)) << message;
  }
}

TEST(Metrics, AfterAResumptionTheLaterLinesHold) {
  const auto line = [](int step, int accuracy) {
    return fmt::format("{{\"kind\":\"step\",\"step\":{},\"train_accuracy_pct\":{}}}\n", step, accuracy);
  };
  const auto points =
      parse_metrics(line(50, 1) + line(100, 2) + line(150, 3) + line(100, 4) + line(150, 5), "m");
  ASSERT_EQ(points.size(), 3U);
  EXPECT_EQ(points[1].accuracy, 4);
  EXPECT_EQ(points[2].accuracy, 5);
}

}  // namespace
}  // namespace refnorm::report
