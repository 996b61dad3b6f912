#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/report/measures.h>
#include <refnorm/report/metrics.h>
#include <refnorm/report/report.h>
#include <refnorm/report/sweep_figure.h>

#include "tests/base/helpers.h"
#include "tests/report/sample_sweep.h"

namespace refnorm::report {
namespace {

using namespace testing;

/// `field` of an arm's runs, one a seed; null: not there.
Json with_field(Json arm, const char* place, const std::vector<Json>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) arm["runs"][i][Json::json_pointer(place)] = values[i];
  return arm;
}

TEST(Measures, EachColumnHasItsBestAndItsTies) {
  // Six seeds. Under noise B is 1 higher with each: p = 2 / 64. Inverted, B is higher by 0.4, 0.2, −0.1 and
  // three 0: p = 0.5 (SignFlip). A's noise: mean 4, deviation of 3, 5, 3, 5, 3, 5 sqrt(6 / 5) = 1.0954, half
  // width 2.571 · 1.0954 / sqrt 6 = 1.15.
  Json a = sample_arm("A", std::vector<double>(6, 1.0));
  Json b = sample_arm("B", std::vector<double>(6, 1.1));
  a = with_field(a, "/robustness/noisy:0.3", {3, 5, 3, 5, 3, 5});
  b = with_field(b, "/robustness/noisy:0.3", {4, 6, 4, 6, 4, 6});
  a = with_field(a, "/robustness/inverted:1", {7, 7, 7, 7, 7, 7});
  b = with_field(b, "/robustness/inverted:1", {7.4, 7.2, 6.9, 7, 7, 7});
  const Result result = sample_result({a, b, sample_arm("C", {1.0, 1.0})});
  const MarkedTable found = named_table(result.arms, &Run::robustness);
  EXPECT_EQ(found.table.head, (std::vector<std::string>{"arm", "noisy:0.3", "inverted:1"}));
  EXPECT_EQ(found.table.rows[0], (std::vector<std::string>{"A", "4.00 ± 1.15 ★", "7.00 ± 0.00 ★"}));
  EXPECT_EQ(found.table.rows[1][1], "5.00 ± 1.15");
  EXPECT_TRUE(found.table.rows[1][2].ends_with(" ≈")) << found.table.rows[1][2];
  EXPECT_EQ(found.table.rows[2], (std::vector<std::string>{"C", "–", "–"}));
  EXPECT_TRUE(found.strong()(0, 1));
  EXPECT_FALSE(found.strong()(1, 1) || found.strong()(0, 0));
  EXPECT_TRUE(contains(found.note(), "≈ not told apart"));
  EXPECT_TRUE(named_table(result.arms, &Run::by_domain).table.rows.empty());
}

TEST(Measures, StepsToATargetAreThoseOfTheRunsThatReachedIt) {
  // 400 and 500: mean 450, deviation 70.7, half width 12.706 · 70.7 / sqrt 2 = 635.3.
  Json a = with_field(sample_arm("A", {1, 1, 1}), "/steps_to_target", {400, nullptr, 500});
  a = with_field(a, "/seconds_to_target", {4.0, nullptr, 6.0});
  a = with_field(a, "/test_error_pct_of_best", {0.9, 0.9, 0.9});
  Json b = with_field(sample_arm("B", {1, 1}), "/steps_to_target", {nullptr, nullptr});
  b["runs"][0]["best"] = {{"epoch", 9}, {"step", 3870}, {"validation_error_pct", 0.5}};
  const Result result = sample_result({a, b});
  EXPECT_EQ(result.arms[0].runs[0].best, "0.70 %, epoch 9");
  EXPECT_EQ(result.arms[1].runs[0].best, "0.50 %, step 3,870");
  const MarkedTable found = way_table(result.arms);
  EXPECT_EQ(found.table.head, (std::vector<std::string>{"arm", "best validation error %",
                                                        "test error % of the best", "step of the best",
                                                        "steps to target", "seconds to target", "reached"}));
  const auto& rows = found.table.rows;
  EXPECT_EQ(rows[0], (std::vector<std::string>{"A", "0.70 ± 0.00 ?", "0.90 ± 0.00 ★", "–", "450 ± 635",
                                               "5.00 ± 12.71", "2 of 3"}));
  EXPECT_EQ(rows[1][3], "3,870");
  EXPECT_EQ(rows[1][4], "–");
  EXPECT_EQ(rows[1][6], "0 of 2");
  EXPECT_EQ(way_notes(result.arms).size(), 2U);
  // Without a target none is spoken of.
  const Result plain = sample_result({sample_arm("A", {1, 1})});
  EXPECT_EQ(way_table(plain.arms).table.head.size(), 2U);
  EXPECT_EQ(way_notes(plain.arms).size(), 1U);
}

TEST(Measures, BySettingOfASweep) {
  Json json = sample_sweep();
  for (Json& setting : json["settings"]) {
    for (Json& arm : setting["arms"]) {
      for (Json& run : arm["runs"]) {
        if (run["diverged"]) continue;
        run["robustness"] = {{"fgsm:0.1", 1.5 * run["test_error_pct"].get<double>()}};
        run["steps_to_target"] = 100 + run["seed"].get<int>();
        run["test_error_pct_of_best"] = run["test_error_pct"];
      }
    }
  }
  const TemporaryFolder folder;
  write_json(folder / "result.json", json);
  write_report(folder.path());
  const std::string page = read_file(folder / "report.html");
  EXPECT_EQ(markup_fault(page), "");
  for (const char* piece : {"<h2>Steps to the target</h2>", "<h2>Test error on changed pictures, %</h2>",
                            "<h3>fgsm:0.1</h3>", "weights with the lowest validation error"})
    EXPECT_TRUE(contains(page, piece)) << piece;
  // Two tables, running and population, and one note for both.
  const std::string statistics = page.substr(page.find("<summary>Test error by the statistics used, %"));
  const std::string two = statistics.substr(0, statistics.find("</details>"));
  EXPECT_EQ(occurrences(two, "<h3>"), 2U);
  EXPECT_EQ(occurrences(two, "★ lowest mean of the column"), 1U);
  // RBN's errors in the first setting are 1 plus noise that sums to 0.05, half as much again 1.5075;
  // deviation 1.5 · sqrt(0.00745 / 9) = 0.0432, half width 2.262 · 0.0432 / sqrt 10 = 0.031. The best there,
  // as by the error.
  EXPECT_TRUE(contains(page, "<td class=\"strong\">1.51 ± 0.03 ★</td>"));
  // 101 to 110: mean 105.5, deviation 3.0277, half width 2.262 · 3.0277 / sqrt 10 = 2.17.
  EXPECT_EQ(target_table(parsed(json)).rows[0][1], "106 ± 2 (10 of 10)");
  EXPECT_EQ(target_table(parsed(json)).rows[3][3], "– (0 of 10)");
  EXPECT_TRUE(target_table(parsed(sample_sweep())).rows.empty());
}

TEST(Measures, ValidationErrorsOfEpochsAndBetween) {
  const std::string text =
      R"({"kind":"step","step":50,"train_accuracy_pct":80}
{"kind":"validation","step":60,"epoch":0,"validation_error_pct":12.5}
{"kind":"epoch","step":100,"epoch":1}
{"kind":"epoch","step":200,"epoch":2,"validation_error_pct":3}
)";
  const auto points = parse_validations(text, "m");
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].step, 60U);
  EXPECT_EQ(points[0].accuracy, 87.5);
  EXPECT_EQ(points[1].accuracy, 97);
  EXPECT_EQ(parse_metrics(text, "m").size(), 1U);
  EXPECT_TRUE(contains(user_error_of([&] {
                         parse_validations("{\"kind\":\"epoch\",\"step\":1,\"validation_error_pct\":101}\n",
                                           "m");
                       }),
                       "m:1: validation_error_pct: expected a number from 0 to 100"));
}

TEST(SkewFigure, APanelForEachBatchSize) {
  const Sweep sweep = parsed(sample_sweep());
  const std::string picture = skew_svg(sweep, answer(sweep));
  EXPECT_EQ(occurrences(picture, "<clipPath"), 2U);
  for (const char* title : {"skew of the batches: batch 4<", "skew of the batches: batch 16<"})
    EXPECT_EQ(occurrences(picture, title), 1U) << title;
  EXPECT_EQ(occurrences(picture, ">pk:2</text>"), 2U) << "named by the sampler alone";
  // Without a second sampler there is no line to draw in a panel of one batch size: one panel for all.
  Json json = sample_sweep();
  json["axes"][0]["values"] = {"iid"};
  json["settings"] = Json::array({json["settings"][0], json["settings"][1]});
  const Sweep sizes = parsed(json);
  EXPECT_EQ(occurrences(skew_svg(sizes, answer(sizes)), "<clipPath"), 1U);
}

TEST(SweepLinks, ToTheSettingsThatHaveAReport) {
  const TemporaryFolder folder;
  Json json = sample_sweep();
  json["settings"][1]["folder"] = "javascript:alert(1) &";
  write_json(folder / "result.json", json);
  for (const char* name : {"ii-4", "javascript:alert(1) &"}) {
    std::filesystem::create_directories(folder / name);
    write_file(folder.path() / name / "report.html", "");
  }
  write_report(folder.path());
  const std::string page = read_file(folder / "report.html");
  EXPECT_EQ(occurrences(page, "<a href"), 2U);
  EXPECT_TRUE(contains(page, "<a href=\"./ii-4/report.html\">iid, batch 4</a>")) << page;
  EXPECT_TRUE(contains(page, "<a href=\"./javascript%3Aalert%281%29%20%26/report.html\">"));
}

}  // namespace
}  // namespace refnorm::report
