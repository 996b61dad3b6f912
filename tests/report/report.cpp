#include <filesystem>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/random.h>
#include <refnorm/report/answer_table.h>
#include <refnorm/report/html.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/paper.h>
#include <refnorm/report/report.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"
#include "tests/report/sample.h"

namespace refnorm::report {
namespace {

using namespace testing;

constexpr const char* kHostile = "<b>&\"|'\n\x01</title></style><script>alert(1)</script>";

std::string metrics(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) {
    text +=
        fmt::format("{{\"kind\":\"step\",\"step\":{},\"train_accuracy_pct\":{}}}\n", 50 * i, 100 - 20.0 / i);
  }
  return text;
}

void write_run(const TemporaryFolder& folder, const std::string& run, const std::string& text) {
  std::filesystem::create_directories(folder / run);
  write_file(folder / run / "metrics.jsonl", text);
}

Json document() {
  const Json lost = Json::array({diverged_run(1, "none/seed-1"), failed_run(2, "none/seed-2")});
  Json json = sample_document({sample_arm("BN", {0.9, 1.0, 1.2}, "bn"),
                               sample_arm("RBN", {0.8, 0.95, 1.0}, "rbn"), arm_of("none", lost)});
  json["paper"] = {{"says", {"all three converge"}}, {"validation_error_pct", {{"BN", 28.6}, {"LN", 33.2}}}};
  return json;
}

void write_sample(const TemporaryFolder& folder) {
  write_json(folder / "result.json", document());
  for (const char* arm : {"bn", "rbn"}) {
    for (int seed = 1; seed <= 2; ++seed)
      write_run(folder, fmt::format("{}/seed-{}", arm, seed), metrics(20));
  }
  write_run(folder, "none/seed-1", metrics(3) + R"({"kind":"step","st)");
}

TEST(Report, WritesThreeFilesTheSameEachTime) {
  const TemporaryFolder folder;
  write_sample(folder);
  write_report(folder.path());
  const std::string table = read_file(folder / "table.md");
  const std::string curves = read_file(folder / "curves.svg");
  const std::string page = read_file(folder / "report.html");
  EXPECT_EQ(folder.entries(), 7U);
  EXPECT_EQ(markup_fault(curves), "");
  EXPECT_EQ(markup_fault(page), "");
  EXPECT_TRUE(contains(page, curves));
  EXPECT_TRUE(contains(table, terminal_table(folder.path()).substr(0, 12)));
  write_report(folder.path());
  EXPECT_EQ(read_file(folder / "table.md"), table);
  EXPECT_EQ(read_file(folder / "curves.svg"), curves);
  EXPECT_EQ(read_file(folder / "report.html"), page);
}

TEST(Report, NeedsNoNetworkAndOneScriptOfItsOwn) {
  const TemporaryFolder folder;
  write_sample(folder);
  write_report(folder.path());
  const std::string page = read_file(folder / "report.html");
  EXPECT_EQ(occurrences(page, "http"), 1U);  // the name of SVG's namespace
  EXPECT_EQ(occurrences(page, "<script"), 1U);
  for (const char* piece : {"<script ", "<link", "@import", "url(h", "src="})
    EXPECT_FALSE(contains(page, piece)) << piece;
}

TEST(Report, TheAnswerStandsBeforeTheTable) {
  const TemporaryFolder folder;
  write_sample(folder);
  write_report(folder.path());
  const std::string page = read_file(folder / "report.html");
  EXPECT_LT(page.find("RBN had the lowest mean test error, 0.92 % over 3 seeds"), page.find("<table>"));
  EXPECT_TRUE(contains(page, "every run of none diverged or failed"));
  EXPECT_TRUE(contains(page, "<td class=\"words\">failed: out of memory</td>"));
  EXPECT_TRUE(contains(page, "<td class=\"words\">diverged: step 17, layer conv1</td>"));
}

TEST(Report, MalformedMetricsAreNamedAndNothingIsWritten) {
  const TemporaryFolder folder;
  write_sample(folder);
  write_run(folder, "rbn/seed-2", metrics(2) + "{]\n" + metrics(1));
  const std::string message = user_error_of([&] { write_report(folder.path()); });
  EXPECT_TRUE(contains(message, "rbn/seed-2/metrics.jsonl:3: not valid JSON")) << message;
  EXPECT_EQ(folder.entries(), 4U);
}

TEST(Report, AFolderWithoutAResult) {
  const TemporaryFolder folder;
  EXPECT_TRUE(contains(user_error_of([&] { write_report(folder.path()); }), "result.json: cannot be read"));
  EXPECT_TRUE(contains(user_error_of([&] { terminal_table(folder.path()); }), "result.json: cannot be read"));
}

TEST(Report, AShortenedRunIsLabelledInEveryHeadline) {
  const TemporaryFolder folder;
  Json json = document();
  json["note"] = "shortened: 2 epochs instead of 10";
  write_json(folder / "result.json", json);
  write_report(folder.path());
  EXPECT_TRUE(
      read_file(folder / "table.md").starts_with("# lenet5-mnist (shortened: 2 epochs instead of 10)\n"));
  const std::string page = read_file(folder / "report.html");
  EXPECT_TRUE(contains(page, "<title>lenet5-mnist (shortened: 2 epochs instead of 10)</title>"));
  EXPECT_LT(page.find("<p class=\"note\">shortened"), page.find("<div class=\"answer\">"));
}

TEST(Report, HostileTextsStayTexts) {
  const TemporaryFolder folder;
  Json json = document();
  for (const char* place :
       {"/recipe", "/arms/0/name", "/arms/0/norm", "/arms/2/runs/1/failed",
        "/arms/2/runs/0/diverged_at/layer", "/machine/cpu", "/setup/model", "/paper/says/0"}) {
    json[Json::json_pointer(place)] = kHostile;
  }
  json["note"] = kHostile;
  json["machine"][kHostile] = 1;
  json["setup"][kHostile] = 1;
  json["paper"][kHostile] = {{kHostile, {kHostile, nullptr, 1.5, true, {{"deep", kHostile}}}}};
  json["paper"]["test_error_pct"] = {{kHostile, kHostile}};
  json["arms"][0]["runs"][0]["test_error_pct_by_population_reading"] = {{kHostile, 1.0}};
  write_json(folder / "result.json", json);
  write_run(folder, "bn/seed-1", metrics(20));
  write_report(folder.path());
  for (const char* name : {"curves.svg", "report.html"}) {
    const std::string text = read_file(folder / name);
    EXPECT_EQ(markup_fault(text), "") << name;
    EXPECT_FALSE(contains(text, "<script>alert") || contains(text, "<b>")) << name;
    EXPECT_TRUE(contains(text, "&lt;b&gt;&amp;&quot;|&#39;")) << name;
  }
  EXPECT_FALSE(contains(read_file(folder / "table.md"), "<script"));
}

TEST(Report, DamagedFilesGiveAReportOrOneLine) {
  const TemporaryFolder folder;
  write_sample(folder);
  const std::string result = read_file(folder / "result.json");
  RandomStream random(7, "damage");
  int understood = 0;
  for (int i = 0; i < 1500; ++i) {
    try {
      const Json json = parse_json(mutate(result, random), "r");
      const Result parsed = parse_result(json, "r");
      const Answer found = answer(parsed);
      EXPECT_EQ(markup_fault(html_page(parsed, found, "")), "");
      EXPECT_FALSE(terminal_table(parsed).empty());
      ++understood;
    } catch (const UserError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
  EXPECT_GT(understood, 50);
}

TEST(Paper, OurFiguresStandBesideTheirsWhereTheNameSaysWhich) {
  Json json = document();
  json["paper"] = {{"train_error_pct", {{"bn", 26.3}}},
                   {"test_error_pct", {{"BN", 28.6}, {"LN", 33.2}}},
                   {"box AP", {{"RBN", 37}, {"BN", 36.5}}}};
  const Result result = parse_result(json, "r");
  const Table table = paper_figures(result);
  EXPECT_EQ(table.head, (std::vector<std::string>{"arm", "train error %: paper", "ours",
                                                  "test error %: paper", "ours", "box AP"}));
  ASSERT_EQ(table.rows.size(), 3U);
  const std::string test = with_interval(result.arms[0].test_error);
  EXPECT_EQ(table.rows[0], (std::vector<std::string>{"BN", "26.3", "0.25", "28.6", test, "36.5"}));
  EXPECT_EQ(table.rows[1].front(), "RBN");
  EXPECT_EQ(table.rows[1].back(), "37");
  EXPECT_EQ(table.rows[2], (std::vector<std::string>{"LN", "–", "–", "33.2", "–", "–"}));
  const std::string section = paper_section(result, answer(result));
  EXPECT_EQ(markup_fault(section), "");
  EXPECT_TRUE(contains(section, "<td class=\"words\">BN</td><td>26.3</td><td>0.25</td><td>28.6</td>"))
      << section;
  EXPECT_TRUE(contains(markdown_table(result, answer(result)), "| LN | – | – | 33.2 | – | – |"));
}

TEST(Paper, ASmallerSetUpIsSaidAtTheTopAndBesideTheFigures) {
  Json json = document();
  json["paper"] = {
      {"test_error_pct", {{"BN", 28.6}}},
      {"setup", {{"model", "resnet50"}, {"training_samples", 1281167}, {"batch_size", 128}, {"gpus", 8}}}};
  json["setup"] = {{"model", "resnet50"}, {"training_samples", 558}, {"batch_size", 128}};
  const Result small = parse_result(json, "r");
  const std::string said = "Scaled down from the paper's set-up: training samples 558 instead of 1,281,167.";
  EXPECT_EQ(scaled_down(small), said);
  const std::string page = html_page(small, answer(small), "");
  EXPECT_EQ(markup_fault(page), "");
  EXPECT_LT(page.find("training samples 558 instead"), page.find("<h2>Test error"));
  EXPECT_TRUE(contains(page, "<td class=\"words\">gpus</td><td>8</td><td>–</td>")) << page;
  EXPECT_TRUE(contains(page, "<td class=\"words\">batch size</td><td>128</td><td>128</td>"));
  EXPECT_TRUE(contains(markdown_table(small, answer(small)), escape_markdown(said)));
  // 10,000 held out of so many do not make it another set-up; another network does.
  json["setup"] = {{"model", "resnet50"}, {"training_samples", 1271167}, {"batch_size", 256}};
  EXPECT_EQ(scaled_down(parse_result(json, "r")), "");
  json["setup"]["model"] = "resnet18";
  EXPECT_EQ(scaled_down(parse_result(json, "r")),
            "Scaled down from the paper's set-up: model resnet18 instead of resnet50.");
}

TEST(Paper, MissingIsNoSection) {
  const Result result = sample_result({sample_arm("BN", {1.0})});
  EXPECT_EQ(paper_section(result, answer(result)), "");
}

}  // namespace
}  // namespace refnorm::report
