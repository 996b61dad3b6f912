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

std::size_t settings_with_pairs(std::span<const std::vector<double>> settings) {
  return static_cast<std::size_t>(
      std::count_if(settings.begin(), settings.end(), [](const auto& pairs) { return !pairs.empty(); }));
}

}  // namespace

double sign_flip_p(std::span<const double> differences) {
  return p_of_sum(differences);
}

double pooled_sign_flip_p(std::span<const std::vector<double>> settings) {
  const auto count = static_cast<double>(settings_with_pairs(settings));
  std::vector<double> terms;
  for (const std::vector<double>& pairs : settings) {
    for (const double difference : pairs)
      terms.push_back(difference / (count * static_cast<double>(pairs.size())));
  }
  return p_of_sum(terms);
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

PooledDifference pooled_difference(std::span<const std::vector<double>> settings) {
  PooledDifference pooled;
  pooled.settings = settings_with_pairs(settings);
  if (pooled.settings == 0) return pooled;
  const auto count = static_cast<double>(pooled.settings);
  double mean = 0;
  double largest = 0;
  double variance = 0;  // of the pooled mean
  double squares = 0;   // Welch and Satterthwaite's denominator
  bool every_setting = true;
  for (const std::vector<double>& pairs : settings) {
    if (pairs.empty()) continue;
    pooled.pairs += pairs.size();
    const Summary found = summarize(pairs);
    mean += *found.mean / count;
    for (const double difference : pairs) largest = std::max(largest, std::abs(difference));
    if (!found.std) {
      every_setting = false;
      continue;
    }
    const double share = *found.std * *found.std / static_cast<double>(found.n) / (count * count);
    variance += share;
    squares += share * share / static_cast<double>(found.n - 1);
  }
  pooled.mean = mean;
  // Equal differences differ in their last bits only; an interval of no width says nothing.
  if (!every_setting || std::sqrt(variance) <= 1e-12 * (largest + 1)) return pooled;
  const boost::math::students_t distribution(variance * variance / squares);
  const double half =
      boost::math::quantile(boost::math::complement(distribution, 0.025)) * std::sqrt(variance);
  pooled.interval = Interval{mean - half, mean + half};
  return pooled;
}

std::optional<bool> not_worse(const std::optional<Interval>& interval, double margin) {
  if (!interval) return std::nullopt;
  return interval->high < margin;
}

}  // namespace refnorm::report
