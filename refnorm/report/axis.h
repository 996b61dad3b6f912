#pragma once

#include <string>
#include <vector>

namespace refnorm::report {

/// Maps values to [0, 1] along an axis, with ticks at round numbers.
struct Axis {
  double low = 0;
  double high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;

  /// Values beyond the ends give places beyond [0, 1].
  double place(double value) const;
  double clamped(double value) const;
};

/// The smallest of 1, 2, 5 · 10^k that is at least `value`.
double round_up(double value);

/// Ticks every 1, 2 or 5 · 10^k, at most about `wanted` of them; the ends are kept as they are.
Axis linear_axis(double low, double high, int wanted);

/// From and to the next 1, 2 or 5 · 10^k. Requires 0 < low <= high.
Axis log_axis(double low, double high);

/// Shortest decimal form, with thousands separated.
std::string tick_label(double value);

}  // namespace refnorm::report
