#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include <refnorm/report/answer.h>
#include <refnorm/report/table.h>

#include "tests/base/helpers.h"
#include "tests/report/sample.h"

namespace refnorm::report {
namespace {

using namespace testing;

Json all_diverged() {
  return Json::array({diverged_run(1, "x/seed-1"), diverged_run(2, "x/seed-2")});
}

TEST(Answer, WorseByMoreThanChance) {
  // Differences 1.0, 1.1, 0.9: mean 1, deviation 0.1, half width 4.303 · 0.1 / sqrt 3 = 0.25: far from 0.
  const Answer found =
      answer(sample_result({sample_arm("BN", {1.8, 2.0, 1.9}), sample_arm("RBN", {0.8, 0.9, 1.0})}));
  EXPECT_EQ(found.best, 1U);
  EXPECT_EQ(found.arms[0].standing, Standing::kWorse);
  EXPECT_EQ(found.arms[1].standing, Standing::kBest);
  EXPECT_EQ(found.compared, 1U);
  EXPECT_EQ(found.confidence, 0.95);
  EXPECT_EQ(found.sentence,
            "RBN had the lowest mean test error, 0.90 % over 3 seeds; BN (1.90 %) did worse by more than "
            "chance between "
            "seeds explains (paired differences over common seeds, 95 % confidence).");
}

TEST(Answer, CannotBeToldApart) {
  // Differences 0.1, 0.2, 0: the interval by hand is 0.1 ± 0.25.
  const Answer found =
      answer(sample_result({sample_arm("RBN", {1.0, 1.1, 1.2}), sample_arm("BN", {1.1, 1.3, 1.2})}));
  EXPECT_EQ(found.arms[1].standing, Standing::kSame);
  EXPECT_TRUE(contains(found.sentence, "; BN (1.20 %) cannot be told apart from RBN with these seeds"))
      << found.sentence;
}

TEST(Answer, ComparisonsWidenTheIntervals) {
  // Differences 0.1, 0.2, 0.15: mean 0.15, deviation 0.05. Alone 4.303 · 0.05 / sqrt 3 = 0.124 < 0.15 tells
  // them apart; for three comparisons t(0.9833, 2) = 7.649 (closed form, see statistics) gives 0.221 > 0.15.
  const Json best = sample_arm("RBN", {1.0, 1.0, 1.0});
  const Json near = sample_arm("BN", {1.1, 1.2, 1.15});
  EXPECT_EQ(answer(sample_result({best, near})).arms[1].standing, Standing::kWorse);
  const Answer found = answer(
      sample_result({best, near, sample_arm("LN", {8.0, 9.0, 8.5}), sample_arm("IN", {8.0, 9.0, 8.5})}));
  EXPECT_EQ(found.arms[1].standing, Standing::kSame);
  EXPECT_EQ(found.arms[2].standing, Standing::kWorse);
  EXPECT_EQ(found.compared, 3U);
  EXPECT_NEAR(found.confidence, 1 - 0.05 / 3, 1e-12);
  EXPECT_TRUE(contains(found.sentence, "LN (8.50 %) and IN (8.50 %) did worse")) << found.sentence;
  EXPECT_TRUE(contains(found.sentence, "Bonferroni-corrected for 3 comparisons")) << found.sentence;
}

TEST(Answer, OneSeedCannotTell) {
  const Answer found =
      answer(sample_result({sample_arm("BN", {1.0}), sample_arm("RBN", {0.9}), sample_arm("LN", {1.5})}));
  EXPECT_EQ(found.arms[0].standing, Standing::kTooFewSeeds);
  EXPECT_EQ(found.compared, 0U);
  EXPECT_EQ(found.sentence,
            "RBN had the lowest test error, 0.90 % over one seed; one seed cannot tell it apart from BN "
            "(1.00 %) and LN "
            "(1.50 %).");
}

TEST(Answer, SeedsArePairedByNumberAndOthersAreLeftOut) {
  const Json best = Json::array({sample_run(1, 0.5, "a"), sample_run(2, 0.6, "b"), sample_run(3, 0.7, "c")});
  const Json other = Json::array({sample_run(3, 0.9, "d"), diverged_run(2, "e"), sample_run(4, 9.0, "f")});
  const Answer found = answer(sample_result({arm_of("RBN", best), arm_of("BN", other)}));
  EXPECT_EQ(found.arms[1].standing, Standing::kTooFewSeeds);
  EXPECT_EQ(found.arms[1].difference.n, 1);
  EXPECT_NEAR(found.arms[1].difference.mean.value(), 0.2, 1e-12);
  EXPECT_TRUE(contains(found.sentence, "fewer than 2 seeds in common cannot tell it apart from BN"))
      << found.sentence;
  EXPECT_TRUE(contains(found.sentence, "; BN: 1 diverged of its 3 runs.")) << found.sentence;
}

TEST(Answer, ATieIsCalledATie) {
  const Answer found =
      answer(sample_result({sample_arm("BN", {1.0, 1.2, 1.1}), sample_arm("RBN", {1.1, 1.0, 1.2})}));
  EXPECT_TRUE(found.sentence.starts_with("BN and RBN tie for the lowest mean test error, 1.10 %"))
      << found.sentence;
  // The same to the last digit with every seed.
  const Answer same = answer(sample_result({sample_arm("BN", {1.0, 1.2}), sample_arm("RBN", {1.0, 1.2})}));
  EXPECT_EQ(same.arms[1].standing, Standing::kSame);
  EXPECT_TRUE(same.sentence.starts_with("BN and RBN tie")) << same.sentence;
  // One seed each: a tie, and no more.
  const Answer one = answer(sample_result({sample_arm("BN", {1.0}), sample_arm("RBN", {1.0})}));
  EXPECT_TRUE(one.sentence.starts_with("BN and RBN tie for the lowest test error, 1.00 %")) << one.sentence;
}

TEST(Answer, DifferencesWithoutSpreadAreNoEvidence) {
  const Answer found =
      answer(sample_result({sample_arm("RBN", {0.80, 0.81}), sample_arm("BN", {0.81, 0.82})}));
  EXPECT_EQ(found.arms[1].standing, Standing::kNoSpread);
  EXPECT_TRUE(contains(found.sentence, "BN (0.81 %) differed by the same amount with every seed"))
      << found.sentence;
}

TEST(Answer, ALowerMeanOwedToLostSeedsIsSaid) {
  // RBN lost the hard seeds 3 and 4; over 1 and 2 BN was better by 0.10 and 0.11.
  const Json rbn = Json::array(
      {sample_run(1, 0.50, "a"), sample_run(2, 0.51, "b"), diverged_run(3, "c"), diverged_run(4, "d")});
  const Answer found = answer(sample_result({arm_of("RBN", rbn), sample_arm("BN", {0.40, 0.40, 2.0, 2.0})}));
  EXPECT_EQ(found.best, 0U);
  EXPECT_EQ(found.arms[1].standing, Standing::kBetterInCommon);
  EXPECT_TRUE(contains(found.sentence, "BN (1.20 %) did better over the seeds in common")) << found.sentence;
}

TEST(Answer, AnArmThatAlwaysDiverged) {
  const Answer found = answer(sample_result({sample_arm("BN", {1.0, 1.1}), arm_of("none", all_diverged())}));
  EXPECT_EQ(found.arms[1].standing, Standing::kNoResult);
  EXPECT_EQ(found.sentence,
            "BN is the only arm with a result: a mean test error of 1.05 % over 2 seeds; every run of none "
            "diverged.");
}

TEST(Answer, NothingHasAResult) {
  const Json failed = Json::array({failed_run(1, "y")});
  const Answer found = answer(
      sample_result({arm_of("none", all_diverged()), arm_of("BN", failed), arm_of("LN", Json::array())}));
  EXPECT_FALSE(found.best);
  EXPECT_EQ(found.sentence,
            "No arm has a result; every run of none diverged; every run of BN failed; LN has no run.");
}

TEST(Table, PlainColumnsAlignAndHoldTheNumbers) {
  Json document = sample_document({sample_arm("BN", {1.0, 2.0, 3.0}), sample_arm("名前", {0.5, 0.6, 0.7})});
  document["note"] = "shortened: 2 epochs instead of 10";
  const Result result = parse_result(document, "r");
  const std::string table = plain_table(result, answer(result));
  EXPECT_TRUE(table.starts_with("lenet5-mnist (shortened: 2 epochs instead of 10)\n\narm ")) << table;
  // 2 ± 4.303 / sqrt 3.
  EXPECT_TRUE(contains(table, "2.00 ± 2.48 [-0.48, 4.48]")) << table;
  EXPECT_TRUE(contains(table, "名前 ★")) << table;
  EXPECT_TRUE(contains(table, "9,000  1 min 01 s")) << table;
}

TEST(Table, WideCharactersTakeTwoColumns) {
  const Result result = sample_result({sample_arm("BN", {1.0, 2.0}), sample_arm("名前", {0.5, 0.6})});
  std::istringstream lines(plain_table(result, answer(result)));
  std::set<std::size_t> widths;
  std::string line;
  for (int number = 0; std::getline(lines, line); ++number) {
    if (number < 2 || number > 4) continue;
    // All but continuation bytes begin a character; the two of the name are wide.
    auto width = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
    if (contains(line, "名前")) width += 2;
    widths.insert(static_cast<std::size_t>(width));
  }
  EXPECT_EQ(widths.size(), 1U);  // the last column is flush right
}

TEST(Table, MarkdownEscapesHostileNames) {
  const Result result =
      sample_result({sample_arm("<b>&\"|\n`x`", {1.0, 1.1}), arm_of("\x1b[31m*", all_diverged())});
  const std::string table = markdown_table(result, answer(result));
  EXPECT_TRUE(contains(table, "&lt;b&gt;&amp;\"\\| \\`x\\`")) << table;
  EXPECT_FALSE(contains(table, "<b>") || contains(table, "\x1b"));
  std::size_t rows = 0;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("|")) continue;
    ++rows;
    EXPECT_EQ(occurrences(line, "|") - occurrences(line, "\\|"), 12U) << line;
  }
  EXPECT_EQ(rows, 4U);
}

TEST(Table, TerminalNeverSeesControlCharacters) {
  const Result result = sample_result({sample_arm("\x1b[31mred\xc2\x9b\x7f\r\nx", {1.0, 1.1})});
  const std::string table = plain_table(result, answer(result));
  EXPECT_FALSE(contains(table, "\x1b") || contains(table, "\xc2\x9b") || contains(table, "\x7f") ||
               contains(table, "\r"));
  EXPECT_TRUE(contains(table, "[31mred")) << table;
}

TEST(Table, FailedRunsGetAColumnOnlyWhereThereAreAny) {
  const Result without = sample_result({sample_arm("BN", {1.0, 1.1})});
  EXPECT_EQ(main_table(without, answer(without)).head.size(), 11U);
  const Result with = sample_result({arm_of("BN", Json::array({sample_run(1, 1, "a"), failed_run(2, "b")}))});
  const Table table = main_table(with, answer(with));
  EXPECT_EQ(table.head[5], "failed");
  EXPECT_EQ(table.rows[0][5], "1");
  EXPECT_EQ(table.rows[0].size(), table.head.size());
}

}  // namespace
}  // namespace refnorm::report
