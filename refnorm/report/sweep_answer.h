#pragma once

#include <optional>
#include <string>
#include <vector>

#include <refnorm/report/permutation.h>
#include <refnorm/report/sweep_result.h>

namespace refnorm::report {

/// How an arm stands to the baseline, by the paired sign-flip test after Holm's correction.
enum class Verdict {
  kBaseline,
  kBetter,
  kWorse,
  kTie,          ///< the data do not support a difference
  kTooFewSeeds,  ///< even the smallest p that so many pairs can give is above 0.05 after correction
  kNoResult,     ///< not one seed with which both finished
};

struct AgainstBaseline {
  Verdict verdict = Verdict::kNoResult;
  PairedDifference difference;    ///< this arm − the baseline, with a 95 % interval of its own
  double p = 1;                   ///< raw
  double corrected = 1;           ///< within the family of all comparisons with the baseline
  double smallest = 1;            ///< the least that `corrected` could be with these pairs
  std::size_t lost = 0;           ///< seeds that both arms ran, but that diverged or failed with one of them
  std::optional<bool> not_worse;  ///< as PooledAnswer's, in this setting alone
};

/// How an arm stands to the best one of a setting.
enum class Place {
  kBest,         ///< the lowest mean among the arms with the fewest divergences
  kTie,          ///< not told apart from it
  kTooFewSeeds,  ///< cannot be, with so few seeds in common
  kWorse,
  kDiverged,  ///< more of its runs diverged than of the best, so that its other runs do not make it one
  kNoResult,
};

struct SettingAnswer {
  std::vector<AgainstBaseline> against;  ///< one an arm
  std::optional<std::size_t> best;
  std::vector<Place> places;  ///< one an arm; corrected after Holm within the setting

  /// The best arm, and those that are not told apart from it.
  bool among_best(std::size_t arm) const;
};

/// An arm against the baseline over all settings.
struct PooledAnswer {
  Verdict verdict = Verdict::kNoResult;
  PooledDifference difference;
  double p = 1, corrected = 1, smallest = 1;  ///< the family: all arms
  std::size_t lost = 0;                       ///< pairs that cannot be used
  std::int64_t runs = 0, diverged = 0;        ///< of this arm
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

/// "p = 0.0625", "p < 0.0001".
std::string p_text(double p);

/// Fill in sentences and cautions. Used by answer().
std::vector<std::string> sweep_sentences(const Sweep& sweep, const SweepAnswer& answer);
std::vector<std::string> sweep_cautions(const Sweep& sweep, const SweepAnswer& answer);

}  // namespace refnorm::report
