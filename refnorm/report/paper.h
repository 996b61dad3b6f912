#pragma once

#include <string>

#include <refnorm/report/answer.h>
#include <refnorm/report/result.h>
#include <refnorm/report/table.h>

namespace refnorm::report {

// What the paper says (the recipe's [paper] table), beside ours.

/// "Scaled down from the paper's set-up: classes 8 instead of 1,000, …", by what the paper's `setup` has and
/// ours has less of (by more than a twentieth), or has otherwise where it is a text. Empty where there is
/// nothing of the kind.
std::string scaled_down(const Result& result);

/// One row an arm; for each object that is keyed by arms, the paper's figures and, where the object's name
/// says which figures they are (test_error_pct, validation_error_pct, train_error_pct), ours behind them. No
/// rows where there is no such object.
Table paper_figures(const Result& result);

/// The section of a page: what the paper says as it stands there, its figures and its set-up as tables. Texts
/// are escaped. Empty where the recipe has no [paper].
std::string paper_section(const Result& result, const Answer& answer);

}  // namespace refnorm::report
