#pragma once

#include <optional>
#include <string>
#include <vector>

#include <refnorm/report/paired.h>
#include <refnorm/report/permutation.h>
#include <refnorm/report/sweep_result.h>

namespace refnorm::report {

struct SettingAnswer {
  std::vector<AgainstBaseline> against;  ///< one an arm
  std::optional<std::size_t> best;
  std::vector<AgainstBest> to_best;  ///< one an arm; corrected after Holm within the setting

  /// The best arm, and those that are not told apart from it.
  bool among_best(std::size_t arm) const;
};

/// An arm against the baseline over all settings; the family: all arms.
struct PooledAnswer : FlipTest {
  Verdict verdict = Verdict::kNoResult;
  PooledDifference difference;
  std::size_t lost = 0;                 ///< pairs that cannot be used
  std::int64_t runs = 0, diverged = 0;  ///< of this arm
  /// By kMargin; nothing to say without an interval, nor where more runs diverged than of the baseline.
  std::optional<bool> not_worse;
};

/// The answer to "which normalization should I train with?", over the settings of a sweep.
struct SweepAnswer {
  std::size_t baseline = 0;
  std::size_t comparisons = 0;  ///< (setting, arm) pairs with a seed in common, the family of the corrections
  std::vector<SettingAnswer> settings;
  std::vector<PooledAnswer> pooled;  ///< one an arm

  /// In how many settings the mean of an arm's differences from the baseline is below 0, and above: as found,
  /// without a test.
  std::size_t settings_lower(std::size_t arm) const;
  std::size_t settings_higher(std::size_t arm) const;
  std::size_t settings_not_worse(std::size_t arm) const;

  std::vector<std::string> sentences;  ///< the answer, plain text
  std::vector<std::string> cautions;   ///< what keeps it from saying more
};

SweepAnswer answer(const Sweep& sweep);

/// A learning rate that is the lowest or the highest of those tried: a wider range might have found better.
bool at_the_edge(const Rate& rate);

/// Fill in sentences and cautions. Used by answer().
std::vector<std::string> sweep_sentences(const Sweep& sweep, const SweepAnswer& answer);
std::vector<std::string> sweep_cautions(const Sweep& sweep, const SweepAnswer& answer);

}  // namespace refnorm::report
