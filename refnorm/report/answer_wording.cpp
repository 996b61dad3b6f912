#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/answer.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/paired_words.h>

namespace refnorm::report {
namespace {

using Names = std::vector<std::string>;

void add(Names& clauses, const std::string& clause) {
  if (!clause.empty()) clauses.push_back(clause);
}

/// Who leads, then one clause for each way of standing to the leader.
class Leading {
 public:
  Leading(const Result& result, const Answer& answer) : arms_(result.arms), answer_(answer) {}

  std::string sentence() const {
    Names clauses{lead()};
    if (answer_.best) {
      const std::string leader = one_line(best().name);
      add(clauses, group(Place::kTie, fmt::format("cannot be told apart from {} with these seeds", leader)));
      add(clauses, group(Place::kWorse, "did worse by more than chance between seeds explains"));
      add(clauses, group(Place::kLowerInCommon, "did better over the seeds in common"));
      add(clauses, group(Place::kDiverged, "diverged more often, which the mean of the other runs hides"));
      add(clauses, too_few());
    }
    if (answer_.compared > 0) clauses.back() += method();
    add(clauses, lost());
    return join(clauses, "; ") + ".";
  }

 private:
  const Arm& best() const { return arms_[*answer_.best]; }
  Place place(std::size_t i) const { return answer_.to_best[i].place; }

  // Equal to the digits that are shown, and not told apart: nobody leads.
  bool leads_too(std::size_t i) const {
    const bool open = place(i) == Place::kBest || place(i) == Place::kTie || place(i) == Place::kTooFewSeeds;
    return open && two_decimals(arms_[i].test_error.mean) == two_decimals(best().test_error.mean);
  }

  std::string lead() const {
    if (!answer_.best) return "No arm has a result";
    const Summary& found = best().test_error;
    const std::string error = fmt::format("{} %", two_decimals(found.mean));
    Names leaders;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (leads_too(i)) leaders.push_back(one_line(arms_[i].name));
    }
    const char* mean = found.n > 1 ? "mean " : "";
    if (leaders.size() > 1)
      return fmt::format("{} tie for the lowest {}test error, {}", enumerated(leaders), mean, error);
    const auto with_result = std::count_if(arms_.begin(), arms_.end(),
                                           [](const Arm& arm) { return arm.test_error.mean.has_value(); });
    const std::string seeds = found.n == 1 ? "one seed" : counted(static_cast<std::size_t>(found.n), "seed");
    if (with_result == 1) {
      return fmt::format("{} is the only arm with a result: a {}test error of {} over {}", leaders.front(),
                         mean, error, seeds);
    }
    const bool lower_elsewhere = std::any_of(arms_.begin(), arms_.end(), [&](const Arm& arm) {
      return arm.test_error.mean && *arm.test_error.mean < *found.mean;
    });
    return fmt::format("{} had the lowest {}test error{}, {} over {}", leaders.front(), mean,
                       lower_elsewhere ? " of the arms that diverged least" : "", error, seeds);
  }

  std::string with_error(std::size_t i) const {
    const std::string name = one_line(arms_[i].name);
    const bool number = arms_[i].test_error.mean && !leads_too(i);
    return number ? fmt::format("{} ({} %)", name, two_decimals(arms_[i].test_error.mean)) : name;
  }

  std::string group(Place wanted, const std::string& verdict) const {
    Names names;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (place(i) == wanted) names.push_back(with_error(i));
    }
    return names.empty() ? "" : fmt::format("{} {}", enumerated(names), verdict);
  }

  std::string too_few() const {
    Names names;
    Names strangers;
    std::size_t most = 0;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (place(i) != Place::kTooFewSeeds) continue;
      const std::size_t pairs = answer_.to_best[i].pairs;
      (pairs > 0 ? names : strangers).push_back(with_error(i));
      most = std::max(most, pairs);
    }
    Names clauses;
    if (!names.empty())
      clauses.push_back(fmt::format("there are too few seeds to tell {} apart from {}: {}", enumerated(names),
                                    one_line(best().name), too_few_words(most, answer_.compared)));
    if (!strangers.empty())
      clauses.push_back(
          fmt::format("{} has no seed in common with {}", one_line(best().name), enumerated(strangers)));
    return join(clauses, "; ");
  }

  std::string lost() const {
    Names clauses;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      const Arm& arm = arms_[i];
      const std::string name = one_line(arm.name);
      const std::string lost = lost_words(arm, " and ");
      if (arm.test_error.mean) {
        if (!lost.empty())
          clauses.push_back(fmt::format("{}: {} of its {} runs", name, lost, arm.runs.size()));
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
        answer_.compared > 1 ? fmt::format(", Holm-corrected for {} comparisons", answer_.compared) : "";
    return fmt::format(" (paired sign-flip tests over common seeds{})", correction);
  }

  const std::vector<Arm>& arms_;
  const Answer& answer_;
};

/// The arms against BN.
class Against {
 public:
  Against(const Result& result, const Answer& answer) : arms_(result.arms), answer_(answer) {}

  Names sentences() const {
    Names out;
    // Where BN is the best arm, all of that stands in the first sentence.
    if (answer_.best != answer_.baseline) add(out, differences());
    add(out, margins());
    return out;
  }

 private:
  std::string baseline() const { return one_line(arms_[*answer_.baseline].name); }

  std::string group(Verdict wanted, const char* what) const {
    Names names;
    double largest = 0;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      const AgainstBaseline& against = answer_.against[i];
      if (against.verdict != wanted) continue;
      names.push_back(
          fmt::format("{} ({})", one_line(arms_[i].name), signed_points(against.difference.mean)));
      largest = std::max(largest, against.corrected);
    }
    if (names.empty()) return {};
    if (wanted == Verdict::kTie) return fmt::format("{} {}", enumerated(names), what);
    const char* most = names.size() > 1 && largest >= 0.0001 ? "at most " : "";
    return fmt::format("{} {} ({}{})", enumerated(names), what, most, p_text(largest));
  }

  std::string too_few() const {
    Names names;
    std::size_t most = 0;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (answer_.against[i].verdict != Verdict::kTooFewSeeds) continue;
      names.push_back(
          fmt::format("{} ({})", one_line(arms_[i].name), signed_points(answer_.against[i].difference.mean)));
      most = std::max(most, answer_.against[i].pairs);
    }
    if (names.empty()) return {};
    return fmt::format("there are too few seeds to say of {}: {}", enumerated(names),
                       too_few_words(most, answer_.against_compared));
  }

  std::string differences() const {
    Names parts;
    add(parts, group(Verdict::kBetter, "had a lower error"));
    add(parts, group(Verdict::kWorse, "had a higher error"));
    add(parts, group(Verdict::kTie, "cannot be told apart from it"));
    add(parts, too_few());
    if (parts.empty()) return {};
    return fmt::format("Against {}, in points over the same seeds: {}.", baseline(), join(parts, "; "));
  }

  std::string margins() const {
    Names shown;
    bool any = false;
    for (std::size_t i = 0; i < arms_.size(); ++i) {
      if (i == *answer_.baseline || answer_.against[i].pairs == 0) continue;
      any = true;
      if (answer_.against[i].not_worse.value_or(false)) shown.push_back(one_line(arms_[i].name));
    }
    if (!any) return {};
    if (shown.empty())
      return fmt::format("Of no arm do these seeds show that it is not worse than {} by {} points or more.",
                         baseline(), kMargin);
    return fmt::format(
        "Not worse than {} by {} points or more, by the 95 % interval of the difference, each for itself: "
        "{}.",
        baseline(), kMargin, enumerated(shown));
  }

  const std::vector<Arm>& arms_;
  const Answer& answer_;
};

}  // namespace

std::vector<std::string> answer_sentences(const Result& result, const Answer& answer) {
  Names out{Leading(result, answer).sentence()};
  if (answer.baseline && answer.best) {
    for (const std::string& sentence : Against(result, answer).sentences()) out.push_back(sentence);
  }
  return out;
}

}  // namespace refnorm::report
