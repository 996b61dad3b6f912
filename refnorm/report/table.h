#pragma once

#include <functional>
#include <string>
#include <vector>

#include <refnorm/report/answer.h>
#include <refnorm/report/result.h>

namespace refnorm::report {

/// The comparison as rows of plain text, not escaped; the first column is the arm with its mark.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;  ///< one an arm, in the result's order
  std::size_t text_columns = 2;                ///< that many first columns are words, the others numbers
};

/// `modes`: with a column for each kind of statistics that the test error was taken with.
Table main_table(const Result& result, const Answer& answer, bool modes = true);

/// The mark that stands behind an arm's name, such as "★" for the best; empty for an arm that did worse.
std::string mark(Standing standing);

/// "0.81 ± 0.04 [0.77, 0.85]", as far as there is something to say.
std::string with_interval(const Summary& summary);

/// The mean of a percentage over the runs that count and have it.
template <class Get>
std::optional<double> mean_over_runs(const Arm& arm, Get get) {
  std::vector<double> values;
  for (const Run& run : arm.runs) {
    const std::optional<double> value = get(run);
    if (run.counts() && value) values.push_back(*value);
  }
  return summarize(values).mean;
}

/// "lenet5-mnist", with the note in brackets where there is one.
std::string title(const Experiment& experiment);

/// "lenet5 on mnist · 10 epochs · batch 128 …": the set-up's plain members, in the file's order.
std::string setup_line(const Json& setup);

/// What the columns and marks mean, a sentence each.
std::vector<std::string> footnotes(const Answer& answer, bool modes = true);

/// A scalar of a result as it stands there; "–" for null.
std::string plain_value(const Json& value);

/// Which cells to set off; may be empty.
using StrongCell = std::function<bool(std::size_t row, std::size_t column)>;

/// The table in Markdown, and for a terminal with its columns aligned.
std::string markdown_rows(const Table& table, const StrongCell& strong = {});
std::string plain_rows(const Table& table);

/// table.md: title, answer, set-up, table and footnotes.
std::string markdown_table(const Result& result, const Answer& answer);

/// The same for a terminal, columns aligned.
std::string plain_table(const Result& result, const Answer& answer);

}  // namespace refnorm::report
