#pragma once

#include <string>
#include <vector>

#include <refnorm/report/paired.h>
#include <refnorm/report/sweep_result.h>
#include <refnorm/report/table.h>

namespace refnorm::report {

/// Tables of what runs measured beside their test error, for comparisons and sweeps.

/// The names of a kind of values, over all runs, in the order in which they first appear.
std::vector<std::string> names_of(const std::vector<Arm>& arms, NamedValues Run::*values);
std::vector<std::string> names_of(const Sweep& sweep, NamedValues Run::*values);
RunValue named_value(NamedValues Run::*values, std::string name);

/// "4.10 ± 0.20": the mean and half of its interval, as far as there is something to say.
std::string mean_and_half(const Summary& summary);

/// Errors of arms with the mark of the best of each column and of its ties, by the tests that the test error
/// has, each column corrected for itself.
struct MarkedTable {
  Table table;
  std::vector<std::vector<Place>> places;  ///< by column after the first, then by row

  StrongCell strong() const;
  /// What the marks mean.
  std::string note() const;
};

/// What the marks of several tables mean.
std::string note_of(const std::vector<MarkedTable>& tables);

/// One row an arm, one column a name; no rows without a name.
MarkedTable named_table(const std::vector<Arm>& arms, NamedValues Run::*values);
/// One row an arm, one column a setting.
MarkedTable by_setting(const Sweep& sweep, const RunValue& value);

/// One row an arm: the lowest validation error, the test error of those weights, and, where there was a
/// target, when it was reached. No rows where no run was validated.
MarkedTable way_table(const std::vector<Arm>& arms);
/// One row an arm, one column a setting: steps to the target, and how many runs reached it. No rows without
/// a target.
Table target_table(const Sweep& sweep);

/// What both mean, a sentence each.
std::vector<std::string> way_notes(const std::vector<Arm>& arms);

}  // namespace refnorm::report
