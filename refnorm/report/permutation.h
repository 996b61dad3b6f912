#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <refnorm/report/statistics.h>

namespace refnorm::report {

/// Above this many pairs sign flips are drawn, not counted out.
constexpr std::size_t kMostExactPairs = 20;

/// Paired sign-flip test, two-sided: the share of the 2^n ways to give the differences signs whose mean lies
/// at least as far from 0 as the one found. It asks nothing of their distribution but that, were the two arms
/// alike, each difference could as well have had the other sign. Beyond kMostExactPairs, (k + 1) / (m + 1)
/// over m = 99,999 draws of a fixed stream. 1 without a pair. `differences` must be finite.
double sign_flip_p(std::span<const double> differences);

/// The differences of one setting, by seed.
using BySeed = std::map<std::uint64_t, double>;

/// The same over several settings. The statistic is the mean over settings of the setting's mean difference,
/// so a setting counts the same however many pairs it has. Runs of one seed share initial weights and data
/// order, in every setting: so all differences of a seed flip together, 2^n ways with n seeds. Settings
/// without a pair do not count.
double pooled_sign_flip_p(std::span<const BySeed> settings);

/// What sign_flip_p cannot go below with that many pairs, and pooled_sign_flip_p with that many seeds: 2 /
/// 2^n while flips are counted out.
double smallest_sign_flip_p(std::size_t pairs);

/// The fewest pairs with which each of `comparisons` could reach p <= 0.05 after Holm's correction, if there
/// are so few.
std::optional<std::size_t> pairs_needed(std::size_t comparisons);

/// Holm's correction of a family of p-values, in their order: at most 5 % to err anywhere in the family where
/// those up to 0.05 are called differences.
std::vector<double> holm(std::span<const double> family);

/// The mean over settings of the setting's mean difference.
struct PooledDifference {
  std::size_t settings = 0, pairs = 0;  ///< that count
  std::size_t seeds = 0;                ///< with a pair in any setting
  std::optional<double> mean;           ///< nothing without a pair
  /// 95 %, Student's t with one degree of freedom less than seeds; what a seed departs by is taken over all
  /// settings together, as its runs are no independent ones. Where every seed has a pair in every setting it
  /// is the interval of the seeds' means over settings. Nothing where a setting has one pair only, or where
  /// the seeds do not differ.
  std::optional<Interval> interval;
};
PooledDifference pooled_difference(std::span<const BySeed> settings);

/// Whether an interval of a difference (arm − baseline, in points of error) lies below `margin`: the arm is
/// then not worse by more than that. Nothing to say without an interval.
constexpr double kMargin = 0.2;
std::optional<bool> not_worse(const std::optional<Interval>& interval, double margin = kMargin);

}  // namespace refnorm::report
