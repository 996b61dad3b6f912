#pragma once

#include <refnorm/report/answer.h>
#include <refnorm/report/table.h>

namespace refnorm::report {

/// The arms, one a row in the result's order; the first column is the arm with its mark. `modes`: with a
/// column for each kind of statistics that the test error was taken with.
Table main_table(const Result& result, const Answer& answer, bool modes = true);

/// What its columns and marks mean, a sentence each.
std::vector<std::string> main_notes(const Result& result, const Answer& answer, bool modes = true);

/// A table under a title, and what it means, a sentence each.
struct Section {
  std::string title;
  Table table;
  std::vector<std::string> notes;
};

/// Each other arm against BN, and against the best one, seed by seed.
Table baseline_table(const Result& result, const Answer& answer);
Table best_table(const Result& result, const Answer& answer);
/// These two with their notes, as far as there is something to compare with.
std::vector<Section> paired_sections(const Result& result, const Answer& answer);

/// table.md: title, answer, set-up, tables and notes.
std::string markdown_table(const Result& result, const Answer& answer);

/// The same for a terminal, columns aligned.
std::string plain_table(const Result& result, const Answer& answer);

}  // namespace refnorm::report
