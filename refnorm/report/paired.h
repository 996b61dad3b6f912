#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <refnorm/report/permutation.h>
#include <refnorm/report/result.h>

namespace refnorm::report {

/// Arms compared seed by seed, as comparisons and the settings of sweeps do alike.

/// Beyond this a corrected p is no difference.
constexpr double kLevel = 0.05;

/// A paired sign-flip test within a family of tests.
struct FlipTest {
  double p = 1;           ///< raw
  double corrected = 1;   ///< after Holm, within the family
  double smallest = 1;    ///< the least that `corrected` could be with these pairs
  std::size_t pairs = 0;  ///< that flip on their own: over several settings, the seeds

  /// Even the smallest p that so many pairs can give is above kLevel after correction.
  bool too_few() const { return smallest > kLevel; }
  bool told_apart() const { return corrected <= kLevel; }
};

/// Two-sided, of these differences; not corrected yet.
FlipTest flip_test(const std::vector<double>& differences);

/// Corrects the tests of one family.
void correct(const std::vector<FlipTest*>& family);

/// How an arm stands to the baseline.
enum class Verdict {
  kBaseline,
  kBetter,
  kWorse,
  kTie,  ///< the data do not support a difference
  kTooFewSeeds,
  kNoResult,  ///< not one seed with which both finished
};
Verdict verdict_of(double difference, const FlipTest& test);

struct AgainstBaseline : FlipTest {
  Verdict verdict = Verdict::kNoResult;
  PairedDifference difference;  ///< this arm − the baseline, with a 95 % interval of its own
  std::size_t lost = 0;         ///< seeds that both arms ran, but that diverged or failed with one of them
  /// By kMargin; nothing to say without an interval, nor where more runs diverged than of the baseline.
  std::optional<bool> not_worse;
};

/// How an arm stands to the best one.
enum class Place {
  kBest,  ///< the lowest mean among the arms with the fewest divergences
  kTie,   ///< not told apart from it
  kTooFewSeeds,
  kWorse,
  kLowerInCommon,  ///< lower over the seeds in common: the best one's mean is owed to seeds that this arm
                   ///< lost
  kDiverged,       ///< more of its runs diverged than of the best, so that its other runs do not make it one
  kNoResult,
};

struct AgainstBest : FlipTest {
  Place place = Place::kNoResult;
  PairedDifference difference;  ///< this arm − the best one, with a 95 % interval of its own
  std::size_t lost = 0;         ///< as AgainstBaseline's
};

/// What is compared of a run: nothing where it has none, or does not count.
using RunValue = std::function<std::optional<double>(const Run&)>;
std::optional<double> test_error_of(const Run& run);

Summary summarize(const Arm& arm, const RunValue& value);

/// The values of two arms over the seeds where both have one, in the same order.
struct Pairs {
  std::vector<std::uint64_t> seeds;
  std::vector<double> first, second;

  std::vector<double> differences() const;  ///< second − first
  BySeed differences_by_seed() const;
};
Pairs pair_by_seed(const Arm& first, const Arm& second, const RunValue& value = test_error_of);

/// Seeds that both have run, of which one did not count.
std::size_t lost_pairs(const Arm& a, const Arm& b);

/// The first arm whose norm is bn, with or without options.
std::optional<std::size_t> bn_arm(const std::vector<Arm>& arms);

/// Each arm against arms[baseline], whose own verdict is kBaseline; the other verdicts stand once the family
/// is corrected, by decide().
std::vector<AgainstBaseline> against_baseline(const std::vector<Arm>& arms, std::size_t baseline);
/// Corrects these as one family and gives their verdicts. Those without a pair are none of it.
void decide(const std::vector<AgainstBaseline*>& family);

/// The arm with the lowest mean among those with the fewest divergences; none where no arm has the value.
std::optional<std::size_t> best_of(const std::vector<Arm>& arms, const RunValue& value = test_error_of);
/// Each arm against that one, corrected within these arms.
std::vector<AgainstBest> against_best(const std::vector<Arm>& arms, std::optional<std::size_t> best,
                                      const RunValue& value = test_error_of);

}  // namespace refnorm::report
