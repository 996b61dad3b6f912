#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include <refnorm/report/answer_table.h>

#include "tests/base/helpers.h"
#include "tests/report/sample.h"

namespace refnorm::report {
namespace {

using namespace testing;

Json all_diverged() {
  return Json::array({diverged_run(1, "x/seed-1"), diverged_run(2, "x/seed-2")});
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
  for (std::string line; std::getline(lines, line) && !line.starts_with("##");) {
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
