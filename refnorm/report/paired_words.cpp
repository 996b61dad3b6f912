#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/paired_words.h>

namespace refnorm::report {

std::string p_text(double p) {
  if (p < 0.0001) return "p < 0.0001";
  return p < 0.01 ? fmt::format("p = {:.4f}", p) : fmt::format("p = {:.3g}", p);
}

std::string p_cell(double p) {
  const std::string text = p_text(p);
  return text.starts_with("p = ") ? text.substr(4) : text.substr(2);
}

std::string signed_points(const std::optional<double>& value) {
  if (!value) return "–";
  const std::string digits = two_decimals(std::abs(*value));
  return digits == "0.00" ? digits : (*value < 0 ? "−" : "+") + digits;
}

std::string signed_interval(const std::optional<Interval>& interval) {
  if (!interval) return "–";
  return fmt::format("[{}, {}]", signed_points(interval->low), signed_points(interval->high));
}

std::string verdict_words(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBaseline:
      return "baseline";
    case Verdict::kBetter:
      return "lower error";
    case Verdict::kWorse:
      return "higher error";
    case Verdict::kTie:
      return "tie: not told apart";
    case Verdict::kTooFewSeeds:
      return "too few seeds to say";
    case Verdict::kNoResult:
      break;
  }
  return "nothing to compare";
}

std::string place_words(Place place) {
  switch (place) {
    case Place::kBest:
      return "lowest mean";
    case Place::kTie:
      return verdict_words(Verdict::kTie);
    case Place::kTooFewSeeds:
      return verdict_words(Verdict::kTooFewSeeds);
    case Place::kWorse:
      return verdict_words(Verdict::kWorse);
    case Place::kLowerInCommon:
      return "lower over the seeds in common";
    case Place::kDiverged:
      return "diverged more often";
    case Place::kNoResult:
      break;
  }
  return verdict_words(Verdict::kNoResult);
}

const char* place_mark(Place place) {
  switch (place) {
    case Place::kBest:
      return " ★";
    case Place::kTie:
      return " ≈";
    case Place::kTooFewSeeds:
    case Place::kLowerInCommon:
      return " ?";
    case Place::kDiverged:
      return " †";
    case Place::kWorse:
    case Place::kNoResult:
      break;
  }
  return "";
}

std::string mark_words(const std::vector<Place>& places, const std::string& what) {
  const auto any = [&](Place place) {
    return std::find(places.begin(), places.end(), place) != places.end();
  };
  std::string marks = "★ lowest mean " + what;
  if (any(Place::kTie)) marks += "; ≈ not told apart from it (corrected p above 0.05)";
  if (any(Place::kTooFewSeeds)) marks += "; ? too few seeds to tell it apart from it";
  if (any(Place::kLowerInCommon))
    marks += "; ? lower than it over the seeds in common, whose mean is owed to other seeds";
  if (any(Place::kDiverged))
    marks += "; † more of its runs diverged than of the ★ arm, so it does not count among the best";
  return marks;
}

std::string too_few_words(std::size_t pairs, std::size_t comparisons) {
  std::string out =
      fmt::format("{} cannot go below {}", counted(pairs, "seed"), p_text(smallest_sign_flip_p(pairs)));
  if (comparisons > 1) out += fmt::format(", and that is to be corrected for {} comparisons", comparisons);
  const auto needed = pairs_needed(std::max<std::size_t>(comparisons, 1));
  return needed ? fmt::format("{}; {} could", out, counted(*needed, "seed")) : out;
}

std::vector<std::string> paired_heads() {
  return {"difference, points", "95 % interval", "p", "p corrected", "pairs", "pairs lost"};
}

std::vector<std::string> paired_cells(const FlipTest& test, const PairedDifference& difference,
                                      std::size_t lost) {
  const bool compared = difference.n > 0;
  return {signed_points(difference.mean),
          signed_interval(difference.spread ? difference.interval : std::nullopt),
          compared ? p_cell(test.p) : "–",
          compared ? p_cell(test.corrected) : "–",
          fmt::format("{}", difference.n),
          fmt::format("{}", lost)};
}

std::string lost_words(const Arm& arm, const char* separator) {
  std::vector<std::string> parts;
  if (arm.test_error.diverged > 0) parts.push_back(fmt::format("{} diverged", arm.test_error.diverged));
  if (arm.failed() > 0) parts.push_back(fmt::format("{} failed", arm.failed()));
  return join(parts, separator);
}

}  // namespace refnorm::report
