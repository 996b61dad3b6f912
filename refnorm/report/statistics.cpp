#include <algorithm>
#include <cmath>
#include <vector>

#include <boost/math/distributions/students_t.hpp>

#include <refnorm/base/error.h>
#include <refnorm/report/statistics.h>

namespace refnorm::report {
namespace {

struct Moments {
  double mean = 0;
  double std = 0;
};

Moments moments(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  Moments result;
  for (const double value : values) result.mean += value;
  result.mean /= n;
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.std = std::sqrt(squares / (n - 1));
  return result;
}

Interval student_interval(const Moments& of, std::size_t n, double confidence) {
  const boost::math::students_t distribution(static_cast<double>(n - 1));
  const double t = boost::math::quantile(boost::math::complement(distribution, (1 - confidence) / 2));
  const double half = t * of.std / std::sqrt(static_cast<double>(n));
  return {of.mean - half, of.mean + half};
}

void require_finite(std::span<const double> values) {
  if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); })) {
    fail("statistics over seeds: a value is not finite; a diverged run must be left out");
  }
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

Summary summarize(std::span<const double> values, std::int64_t diverged) {
  require_finite(values);
  Summary summary;
  summary.n = static_cast<std::int64_t>(values.size());
  summary.diverged = diverged;
  if (values.empty()) return summary;
  const Moments found = moments(values);
  summary.mean = found.mean;
  if (values.size() < 2) return summary;
  summary.std = found.std;
  summary.ci95 = student_interval(found, values.size(), 0.95);
  return summary;
}

Json to_json(const Summary& summary) {
  Json json = {{"mean", or_null(summary.mean)}, {"std", or_null(summary.std)}};
  json["ci95"] = summary.ci95 ? Json::array({summary.ci95->low, summary.ci95->high}) : Json(nullptr);
  json["n"] = summary.n;
  json["diverged"] = summary.diverged;
  return json;
}

PairedDifference paired_difference(std::span<const double> a, std::span<const double> b, double confidence) {
  if (a.size() != b.size()) fail("paired difference: {} values against {}", a.size(), b.size());
  if (!(confidence > 0 && confidence < 1))
    fail("paired difference: confidence {} is not in (0, 1)", confidence);
  require_finite(a);
  require_finite(b);
  PairedDifference result;
  result.n = static_cast<std::int64_t>(a.size());
  if (a.empty()) return result;
  std::vector<double> differences(a.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences[i] = b[i] - a[i];
    largest = std::max({largest, std::abs(a[i]), std::abs(b[i])});
  }
  const Moments found = moments(differences);
  result.mean = found.mean;
  if (a.size() < 2) return result;
  result.interval = student_interval(found, a.size(), confidence);
  // 0.82 − 0.81 and 0.81 − 0.80 are the same difference, though not to the last bit.
  result.spread = found.std > 1e-12 * largest;
  return result;
}

}  // namespace refnorm::report
