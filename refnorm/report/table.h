#pragma once

#include <functional>
#include <string>
#include <vector>

#include <refnorm/report/result.h>

namespace refnorm::report {

/// Rows of plain text, not escaped.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
  std::size_t text_columns = 2;  ///< that many first columns are words, the others numbers
};

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

/// A scalar of a result as it stands there; "–" for null.
std::string plain_value(const Json& value);

/// Which cells to set off; may be empty.
using StrongCell = std::function<bool(std::size_t row, std::size_t column)>;

/// The table in Markdown, and for a terminal with its columns aligned.
std::string markdown_rows(const Table& table, const StrongCell& strong = {});
std::string plain_rows(const Table& table);

/// Sentences as a list in Markdown.
std::string markdown_notes(const std::vector<std::string>& notes);

}  // namespace refnorm::report
