#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/report/report.h>
#include <refnorm/report/sweep_figure.h>
#include <refnorm/report/sweep_table.h>

#include "tests/base/helpers.h"
#include "tests/report/sample_sweep.h"

namespace refnorm::report {
namespace {

using namespace testing;

constexpr const char* kHostile = "<b>&\"|'\n\x01</title></style><script>alert(1)</script>";

TEST(SweepPage, TwoFilesTheSameEachTime) {
  const TemporaryFolder folder;
  write_json(folder / "result.json", sample_sweep());
  write_report(folder.path());
  EXPECT_EQ(folder.entries(), 3U);
  const std::string table = read_file(folder / "table.md");
  const std::string page = read_file(folder / "report.html");
  write_report(folder.path());
  EXPECT_EQ(read_file(folder / "table.md"), table);
  EXPECT_EQ(read_file(folder / "report.html"), page);
  EXPECT_TRUE(terminal_table(folder.path()).starts_with("lenet5-mnist-lab\n"));
}

TEST(SweepPage, TheAnswerThenWhatItRestsOn) {
  const TemporaryFolder folder;
  Json json = sample_sweep();
  json["paper"] = {{"says", {"training converges more easily"}}};
  write_json(folder / "result.json", json);
  write_report(folder.path());
  const std::string page = read_file(folder / "report.html");
  EXPECT_EQ(markup_fault(page), "");
  EXPECT_EQ(occurrences(page, "<script"), 1U);
  EXPECT_EQ(occurrences(page, "<svg"), 2U);
  EXPECT_EQ(occurrences(page, "http"), 2U);  // the name of SVG's namespace
  std::size_t at = 0;
  for (const char* piece :
       {"<p>No one normalization", "10 of 40 runs of IN diverged", "<td class=\"strong\">1.01 ± 0.02 ★</td>",
        "× all 10 diverged", "Test error against the measured skew", "IN, pk:2, batch 4: no run finished",
        "Error as a multiple of BN’s", "Against BN, over all settings", "not worse within 0.2 points",
        "no: diverged more often", "What the paper says", "training converges more easily", "<td>0.01 ⚠</td>",
        "seeds of their own (1001, 1002)", "160 runs: 4 arms in 4 settings, in 30 min 34 s",
        "<pre><code>refnorm sweep recipes/lenet5-mnist-lab.toml --seeds 10 --out runs/lab</code></pre>"}) {
    const std::size_t found = page.find(piece, at);
    EXPECT_NE(found, std::string::npos) << piece;
    if (found != std::string::npos) at = found;
  }
}

TEST(SweepPage, TablesForMarkdownAndTerminal) {
  const Sweep sweep = parsed(sample_sweep());
  const SweepAnswer found = answer(sweep);
  const std::string table = markdown_table(sweep, found);
  EXPECT_TRUE(contains(table, "| RBN | **1.01 ± 0.02 ★** |")) << table;
  EXPECT_TRUE(contains(table, "| IN | lower error | −9.67 |")) << table;
  EXPECT_TRUE(contains(plain_table(sweep, found), "\nRBN  1.01 ± 0.02 ★")) << plain_table(sweep, found);
}

TEST(SweepPage, FiguresWhereThereIsSomethingToShow) {
  Json json = sample_sweep();
  for (Json& setting : json["settings"]) setting["label_divergence_bits"] = nullptr;
  Sweep sweep = parsed(json);
  EXPECT_EQ(skew_svg(sweep, answer(sweep)), "");
  EXPECT_NE(heat_svg(sweep, answer(sweep)), "");
  json["settings"] = Json::array({json["settings"][0]});
  sweep = parsed(json);
  EXPECT_EQ(heat_svg(sweep, answer(sweep)), "");
}

TEST(SweepPage, AThirdAxisIsAveraged) {
  // Ratios 0.5 and 2 to the baseline have the geometric mean 1.
  Json json = sample_sweep();
  json["axes"].push_back({{"key", "train.momentum"}, {"values", {0.5, 0.9}}});
  Json one = sweep_setting("iid", 4, 1, {1.0, 2.0, 2.0, 2.0}, 1);
  Json other = sweep_setting("iid", 4, 1, {4.0, 2.0, 2.0, 2.0}, 1);
  one["values"]["train.momentum"] = 0.5;
  other["values"]["train.momentum"] = 0.9;
  for (Json* setting : {&one, &other}) {  // without the noise of the first seed
    Json& arms = (*setting)["arms"];
    const double level = setting == &one ? 1.0 : 4.0;
    arms[0] = sweep_arm("GN", "gn:16", sample_arm("GN", {level}), 0.03);
  }
  json["settings"] = Json::array({one, other});
  const Sweep sweep = parsed(json);
  EXPECT_EQ(setting_words(sweep, sweep.settings[1]), "iid, batch 4, momentum 0.9");
  EXPECT_TRUE(contains(heat_svg(sweep, answer(sweep)), ">1.00</text>"));
}

TEST(SweepPage, HostileTextsStayTexts) {
  const TemporaryFolder folder;
  Json json = sample_sweep();
  for (const char* place :
       {"/recipe", "/note", "/command", "/tuned/rule", "/axes/0/values/0", "/machine/cpu"})
    json[Json::json_pointer(place)] = kHostile;
  for (Json& setting : json["settings"]) {
    setting["arms"][0]["name"] = kHostile;
    if (setting["values"]["sampler.kind"] == "iid") setting["values"]["sampler.kind"] = kHostile;
  }
  write_json(folder / "result.json", json);
  write_report(folder.path());
  const std::string page = read_file(folder / "report.html");
  EXPECT_EQ(markup_fault(page), "");
  EXPECT_FALSE(contains(page, "<script>alert") || contains(page, "<b>"));
  EXPECT_FALSE(contains(read_file(folder / "table.md"), "<script"));
  EXPECT_FALSE(contains(terminal_table(folder.path()), "\x01"));
}

TEST(SweepPage, AWrongFileIsOneLineAndNothingIsWritten) {
  const TemporaryFolder folder;
  Json json = sample_sweep();
  json["settings"][1]["arms"][2]["lr"] = "fast";
  write_json(folder / "result.json", json);
  const std::string message = user_error_of([&] { write_report(folder.path()); });
  EXPECT_TRUE(contains(message, "result.json: settings[1].arms[2].lr: expected a number")) << message;
  EXPECT_EQ(folder.entries(), 1U);
}

}  // namespace
}  // namespace refnorm::report
