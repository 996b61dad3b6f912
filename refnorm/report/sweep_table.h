#pragma once

#include <string>
#include <vector>

#include <refnorm/report/sweep_answer.h>
#include <refnorm/report/table.h>

namespace refnorm::report {

/// Arms by settings: "0.93 ± 0.04 ★", with how many of the runs were lost.
Table error_table(const Sweep& sweep, const SweepAnswer& answer);

/// The arm with the best mark in that cell of error_table.
bool is_best(const SweepAnswer& answer, std::size_t row, std::size_t column);

/// Each arm against the baseline over all settings.
Table pooled_table(const Sweep& sweep, const SweepAnswer& answer);

/// Each arm against the baseline in each setting.
Table setting_table(const Sweep& sweep, const SweepAnswer& answer);

/// Arms by settings: the learning rates that were used, those at the edge of the tried ones marked; no rows
/// where the file names none.
Table rate_table(const Sweep& sweep);

/// What each learning rate that was tried gave; no rows where none was.
Table trial_table(const Sweep& sweep);

/// What the marks and columns of error_table and of pooled_table mean, a sentence each.
std::vector<std::string> error_notes(const Sweep& sweep, const SweepAnswer& answer);
std::vector<std::string> pooled_notes(const Sweep& sweep, const SweepAnswer& answer);

/// table.md of a sweep: title, answer, tables, notes and the command.
std::string markdown_table(const Sweep& sweep, const SweepAnswer& answer);

/// The same for a terminal.
std::string plain_table(const Sweep& sweep, const SweepAnswer& answer);

}  // namespace refnorm::report
