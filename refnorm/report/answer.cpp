#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/answer.h>
#include <refnorm/report/markup.h>

namespace refnorm::report {
namespace {

std::optional<std::size_t> lowest_mean(const std::vector<Arm>& arms) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    const auto mean = arms[i].test_error.mean;
    if (mean && (!best || *mean < *arms[*best].test_error.mean)) best = i;
  }
  return best;
}

Comparison compare(const Arm& best, const Arm& other, double confidence) {
  Comparison comparison;
  if (!other.test_error.mean) return comparison;
  const Pairs pairs = pair_by_seed(best, other);
  comparison.difference = paired_difference(pairs.first, pairs.second, confidence);
  const auto& interval = comparison.difference.interval;
  if (!interval) {
    comparison.standing = Standing::kTooFewSeeds;
  } else if (!comparison.difference.spread) {
    // Seeds that all give the same difference are no evidence of how much of it is chance.
    comparison.standing = comparison.difference.mean == 0.0 ? Standing::kSame : Standing::kNoSpread;
  } else if (interval->low > 0) {
    comparison.standing = Standing::kWorse;
  } else {
    comparison.standing = interval->high < 0 ? Standing::kBetterInCommon : Standing::kSame;
  }
  return comparison;
}

std::string runs_lost(const Arm& arm) {
  std::vector<std::string> parts;
  if (arm.test_error.diverged > 0) parts.push_back(fmt::format("{} diverged", arm.test_error.diverged));
  if (arm.failed() > 0) parts.push_back(fmt::format("{} failed", arm.failed()));
  return parts.empty() ? "" : fmt::format("{} of its {} runs", join(parts, " and "), arm.runs.size());
}

/// Writes the sentence: who leads, then one clause for each way of standing to the leader.
class Wording {
 public:
  Wording(const Result& result, const Answer& answer) : arms_(result.arms), answer_(answer) {}

  std::string sentence() const {
    std::vector<std::string> clauses{lead()};
    if (answer_.best) {
      const std::string leader = one_line(best().name);
      add(clauses,
          group(Standing::kSame, fmt::format("cannot be told apart from {} with these seeds", leader)));
      add(clauses, group(Standing::kWorse, "did worse by more than chance between seeds explains"));
      add(clauses, group(Standing::kBetterInCommon, "did better over the seeds in common"));
      add(clauses, too_few());
      add(clauses,
          group(Standing::kNoSpread, "differed by the same amount with every seed, which gives no interval"));
    }
    if (answer_.compared > 0) clauses.back() += method();
    add(clauses, lost());
    return join(clauses, "; ") + ".";
  }

 private:
  static void add(std::vector<std::string>& clauses, const std::string& clause) {
    if (!clause.empty()) clauses.push_back(clause);
  }

  const Arm& best() const { return arms_[*answer_.best]; }

  // Equal to the digits that are shown, and not told apart: nobody leads.
  bool leads_too(std::size_t i) const {
    const Standing standing = answer_.arms[i].standing;
    const bool open =
        standing == Standing::kBest || standing == Standing::kSame || standing == Standing::kTooFewSeeds;
    return open && two_decimals(arms_[i].test_error.mean) == two_decimals(best().test_error.mean);
  }

  std::string lead() const {
    if (!answer_.best) return "No arm has a result";
    const Summary& found = best().test_error;
    const std::string error = fmt::format("{} %", two_decimals(found.mean));
    std::vector<std::string> leaders;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (leads_too(i)) leaders.push_back(one_line(arms_[i].name));
    }
    const char* mean = found.n > 1 ? "mean " : "";
    if (leaders.size() > 1) {
      return fmt::format("{} tie for the lowest {}test error, {}", enumerated(leaders), mean, error);
    }
    const auto with_result = std::count_if(arms_.begin(), arms_.end(),
                                           [](const Arm& arm) { return arm.test_error.mean.has_value(); });
    if (with_result == 1) {
      return fmt::format("{} is the only arm with a result: a {}test error of {} over {}", leaders.front(),
                         mean, error, seeds(found.n));
    }
    return fmt::format("{} had the lowest {}test error, {} over {}", leaders.front(), mean, error,
                       seeds(found.n));
  }

  static std::string seeds(std::int64_t n) { return n == 1 ? "one seed" : fmt::format("{} seeds", n); }

  std::vector<std::string> standing_at(Standing standing) const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (answer_.arms[i].standing != standing) continue;
      const std::string name = one_line(arms_[i].name);
      const bool number = arms_[i].test_error.mean && !leads_too(i);
      names.push_back(number ? fmt::format("{} ({} %)", name, two_decimals(arms_[i].test_error.mean)) : name);
    }
    return names;
  }

  std::string group(Standing standing, const std::string& verdict) const {
    const std::vector<std::string> names = standing_at(standing);
    return names.empty() ? "" : fmt::format("{} {}", enumerated(names), verdict);
  }

  std::string too_few() const {
    const std::vector<std::string> names = standing_at(Standing::kTooFewSeeds);
    if (names.empty()) return {};
    const bool all = answer_.compared == 0 && standing_at(Standing::kNoSpread).empty();
    if (all && best().test_error.n == 1)
      return fmt::format("one seed cannot tell it apart from {}", enumerated(names));
    return fmt::format("fewer than 2 seeds in common cannot tell it apart from {}", enumerated(names));
  }

  std::string lost() const {
    std::vector<std::string> clauses;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      const Arm& arm = arms_[i];
      const std::string name = one_line(arm.name);
      if (answer_.arms[i].standing != Standing::kNoResult) {
        if (!runs_lost(arm).empty()) clauses.push_back(fmt::format("{}: {}", name, runs_lost(arm)));
      } else if (arm.runs.empty()) {
        clauses.push_back(fmt::format("{} has no run", name));
      } else if (arm.failed() == 0) {
        clauses.push_back(fmt::format("every run of {} diverged", name));
      } else if (arm.test_error.diverged == 0) {
        clauses.push_back(fmt::format("every run of {} failed", name));
      } else {
        clauses.push_back(fmt::format("every run of {} diverged or failed", name));
      }
    }
    return join(clauses, "; ");
  }

  std::string method() const {
    const std::string correction =
        answer_.compared > 1 ? fmt::format(", Bonferroni-corrected for {} comparisons", answer_.compared)
                             : "";
    return fmt::format(" (paired differences over common seeds, 95 % confidence{})", correction);
  }

  const std::vector<Arm>& arms_;
  const Answer& answer_;
};

}  // namespace

Answer answer(const Result& result) {
  Answer answer;
  answer.arms.resize(result.arms.size());
  answer.best = lowest_mean(result.arms);
  if (answer.best) {
    const Arm& best = result.arms[*answer.best];
    for (std::size_t i = 0; i < result.arms.size(); ++i) {
      if (i != *answer.best && pair_by_seed(best, result.arms[i]).first.size() >= 2) ++answer.compared;
    }
    if (answer.compared > 1) answer.confidence = 1 - 0.05 / static_cast<double>(answer.compared);
    for (std::size_t i = 0; i < result.arms.size(); ++i) {
      answer.arms[i] = compare(best, result.arms[i], answer.confidence);
    }
    answer.arms[*answer.best] = {Standing::kBest, {}};
  }
  answer.sentence = Wording(result, answer).sentence();
  return answer;
}

}  // namespace refnorm::report
