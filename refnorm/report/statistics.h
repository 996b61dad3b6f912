#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <refnorm/base/json.h>

namespace refnorm::report {

struct Interval {
  double low = 0;
  double high = 0;
};

/// What several seeds of one arm found.
struct Summary {
  std::optional<double> mean;    ///< nothing without a value
  std::optional<double> std;     ///< of the sample (n − 1), nothing with fewer than two values
  std::optional<Interval> ci95;  ///< Student's t, nothing with fewer than two values
  std::int64_t n = 0;            ///< values averaged
  std::int64_t diverged = 0;     ///< runs that diverged, which are not among them
};

/// `values` must be finite: a diverged run is counted in `diverged` and brings no value. Throws Error
/// otherwise.
Summary summarize(std::span<const double> values, std::int64_t diverged = 0);

/// The object that docs/files.md calls an arm's `test_error_pct`.
Json to_json(const Summary& summary);

/// The mean of b − a over pairs, with Student's t interval.
struct PairedDifference {
  std::int64_t n = 0;
  std::optional<double> mean;        ///< nothing without a pair
  std::optional<Interval> interval;  ///< nothing with fewer than two pairs
  bool spread = false;  ///< whether the differences differ at all; an interval of no width says nothing
};

/// `a` and `b` hold the two arms' values of the same seeds in the same order. `confidence` lies in (0, 1);
/// for k comparisons at 95 % in all, Bonferroni's is 1 − 0.05 / k.
PairedDifference paired_difference(std::span<const double> a, std::span<const double> b,
                                   double confidence = 0.95);

}  // namespace refnorm::report
