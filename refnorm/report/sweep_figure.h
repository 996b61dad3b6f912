#pragma once

#include <string>

#include <refnorm/report/sweep_answer.h>

namespace refnorm::report {

/// Test error, on a logarithmic axis, against the measured skew of the batches: a line an arm through the
/// settings, a band for the 95 % intervals; a panel for each batch size, or what else varies. Empty where
/// fewer than two settings have a measured skew.
std::string skew_svg(const Sweep& sweep, const SweepAnswer& answer);

/// A map an arm over the first two axes: its error as a multiple of the baseline's. Empty for one setting or
/// one arm.
std::string heat_svg(const Sweep& sweep, const SweepAnswer& answer);

}  // namespace refnorm::report
