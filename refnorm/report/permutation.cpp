#include <algorithm>
#include <cmath>
#include <numeric>

#include <boost/math/distributions/students_t.hpp>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/report/permutation.h>

namespace refnorm::report {
namespace {

constexpr std::uint64_t kDraws = 99'999;

// How many ways to sign terms[0 …] bring `sum` to at least `limit` away from 0. Each sum has n additions of
// its own, so that nothing drifts.
std::uint64_t count_extreme(std::span<const double> terms, double sum, double limit) {
  if (terms.empty()) return std::abs(sum) >= limit ? 1 : 0;
  const auto rest = terms.subspan(1);
  return count_extreme(rest, sum + terms.front(), limit) + count_extreme(rest, sum - terms.front(), limit);
}

double drawn_p(std::span<const double> terms, double limit) {
  RandomStream random(0, "sign flips");
  std::uint64_t extreme = 0;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    double sum = 0;
    std::uint64_t signs = 0;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (i % 32 == 0) signs = random.below(std::uint64_t{1} << 32);
      sum += (signs >> (i % 32) & 1U) != 0 ? terms[i] : -terms[i];
    }
    extreme += std::abs(sum) >= limit ? 1 : 0;
  }
  return static_cast<double>(extreme + 1) / static_cast<double>(kDraws + 1);
}

double p_of_sum(std::span<const double> terms) {
  if (terms.empty()) return 1;
  double sum = 0;
  double most = 0;
  for (const double term : terms) {
    if (!std::isfinite(term)) fail("sign-flip test: a difference is not finite");
    sum += term;
    most += std::abs(term);
  }
  // 0.82 − 0.81 and 0.81 − 0.80 are the same difference, though not to the last bit: sums that tie but for
  // rounding must count as ties.
  const double limit = std::abs(sum) - 1e-9 * most;
  if (terms.size() > kMostExactPairs) return drawn_p(terms, limit);
  // The two-sided count is the same with all signs reversed: the first one can stay.
  const std::uint64_t half = std::uint64_t{1} << (terms.size() - 1);
  return static_cast<double>(count_extreme(terms.subspan(1), terms.front(), limit)) /
         static_cast<double>(half);
}

double mean_of(const BySeed& pairs) {
  double sum = 0;
  for (const auto& [seed, difference] : pairs) sum += difference;
  return sum / static_cast<double>(pairs.size());
}

// What each seed adds to the mean over settings of the settings' means, once `centre(setting)` is taken off
// its differences.
template <class Centre>
std::vector<double> by_seed(std::span<const BySeed> settings, const Centre& centre) {
  const auto count = static_cast<double>(
      std::count_if(settings.begin(), settings.end(), [](const BySeed& pairs) { return !pairs.empty(); }));
  BySeed sums;
  for (const BySeed& pairs : settings) {
    for (const auto& [seed, difference] : pairs)
      sums[seed] += (difference - centre(pairs)) / (count * static_cast<double>(pairs.size()));
  }
  std::vector<double> terms;
  for (const auto& [seed, sum] : sums) terms.push_back(sum);
  return terms;
}

}  // namespace

double sign_flip_p(std::span<const double> differences) {
  return p_of_sum(differences);
}

double pooled_sign_flip_p(std::span<const BySeed> settings) {
  return p_of_sum(by_seed(settings, [](const BySeed&) { return 0.0; }));
}

double smallest_sign_flip_p(std::size_t pairs) {
  if (pairs == 0) return 1;
  if (pairs > kMostExactPairs) return 1.0 / static_cast<double>(kDraws + 1);
  return std::ldexp(2.0, -static_cast<int>(pairs));
}

std::optional<std::size_t> pairs_needed(std::size_t comparisons) {
  for (std::size_t pairs = 1; pairs <= kMostExactPairs; ++pairs) {
    if (static_cast<double>(comparisons) * smallest_sign_flip_p(pairs) <= 0.05) return pairs;
  }
  return std::nullopt;
}

std::vector<double> holm(std::span<const double> family) {
  std::vector<std::size_t> order(family.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return family[a] < family[b]; });
  std::vector<double> corrected(family.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, static_cast<double>(family.size() - rank) * family[order[rank]]);
    corrected[order[rank]] = std::min(largest, 1.0);
  }
  return corrected;
}

PooledDifference pooled_difference(std::span<const BySeed> settings) {
  PooledDifference pooled;
  double largest = 0;
  bool every_setting = true;
  for (const BySeed& pairs : settings) {
    pooled.settings += pairs.empty() ? 0 : 1;
    pooled.pairs += pairs.size();
    every_setting = every_setting && pairs.size() != 1;
    for (const auto& [seed, difference] : pairs) largest = std::max(largest, std::abs(difference));
  }
  if (pooled.pairs == 0) return pooled;
  const std::vector<double> found = by_seed(settings, [](const BySeed&) { return 0.0; });
  const auto seeds = static_cast<double>(found.size());
  pooled.seeds = found.size();
  pooled.mean = std::accumulate(found.begin(), found.end(), 0.0);
  if (!every_setting || found.size() < 2) return pooled;
  double squares = 0;
  for (const double rest : by_seed(settings, mean_of)) squares += rest * rest;
  const double error = std::sqrt(squares * seeds / (seeds - 1));  // of the pooled mean
  // Equal differences differ in their last bits only; an interval of no width says nothing.
  if (error <= 1e-12 * (largest + 1)) return pooled;
  const boost::math::students_t distribution(seeds - 1);
  const double half = boost::math::quantile(boost::math::complement(distribution, 0.025)) * error;
  pooled.interval = Interval{*pooled.mean - half, *pooled.mean + half};
  return pooled;
}

std::optional<bool> not_worse(const std::optional<Interval>& interval, double margin) {
  if (!interval) return std::nullopt;
  return interval->high < margin;
}

}  // namespace refnorm::report
