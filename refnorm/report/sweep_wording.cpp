#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/paired_words.h>
#include <refnorm/report/sweep_answer.h>

namespace refnorm::report {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kMostGroups = 4;  // sets of best arms that a sentence can list

class Wording {
 public:
  Wording(const Sweep& sweep, const SweepAnswer& answer) : sweep_(sweep), answer_(answer) {
    for (std::size_t i = 0; i < answer.settings.size(); ++i) {
      if (answer.settings[i].best) with_result_.push_back(i);
    }
  }

  Names sentences() const {
    if (with_result_.empty()) return {"No run has a result yet, or every one diverged or failed."};
    Names out{choice()};
    if (sweep_.arms().size() > 1) {
      add(out, best_by_setting());
      if (with_result_.size() > 1) add(out, against_baseline());
    }
    return out;
  }

 private:
  static void add(Names& out, const std::string& sentence) {
    if (!sentence.empty()) out.push_back(sentence);
  }

  std::string name(std::size_t arm) const { return one_line(sweep_.arms()[arm].name); }
  std::string words(std::size_t setting) const {
    return one_line(setting_words(sweep_, sweep_.settings[setting], " "));
  }
  std::string in_settings() const {
    const std::size_t n = with_result_.size();
    return n == 1 ? "in the one setting with a result" : fmt::format("in each of the {} settings", n);
  }

  Names names_among_best(std::size_t setting) const {
    Names names;
    for (std::size_t arm = 0; arm < sweep_.arms().size(); ++arm) {
      if (answer_.settings[setting].among_best(arm)) names.push_back(name(arm));
    }
    return names;
  }

  std::string choice() const {
    const std::size_t count = sweep_.arms().size();
    if (count == 1) return fmt::format("{} is the only arm: there is nothing to choose from.", name(0));
    if (std::any_of(with_result_.begin(), with_result_.end(), [&](std::size_t i) { return undecidable(i); }))
      return lowest_means();
    std::vector<std::size_t> always;
    for (std::size_t arm = 0; arm < count; ++arm) {
      const bool everywhere = std::all_of(with_result_.begin(), with_result_.end(), [&](std::size_t setting) {
        return answer_.settings[setting].among_best(arm) &&
               sweep_.settings[setting].arms[arm].test_error.diverged == 0;
      });
      if (everywhere) always.push_back(arm);
    }
    if (always.empty()) return no_single_choice();
    Names names;
    for (const std::size_t arm : always) {
      if (!outdone_overall(arm, always)) names.push_back(name(arm));
    }
    if (names.size() == count)
      return fmt::format(
          "These runs do not tell the {} normalizations apart: {} each of them had the lowest mean test "
          "error or "
          "could not be told apart from the arm that had.",
          count, in_settings());
    if (names.size() == 1)
      return fmt::format(
          "Train with {}: {} it had the lowest mean test error or could not be told apart from the arm that "
          "had, "
          "and none of its runs diverged.",
          names.front(), in_settings());
    return fmt::format(
        "Train with any of {}: {} each of them had the lowest mean test error or could not be told apart "
        "from the "
        "arm that had, and none of their runs diverged; these runs do not say which of them is better.",
        enumerated(names), in_settings());
  }

  bool undecidable(std::size_t setting) const {
    const auto& arms = answer_.settings[setting].to_best;
    return std::any_of(arms.begin(), arms.end(),
                       [](const AgainstBest& arm) { return arm.place == Place::kTooFewSeeds; });
  }

  // What no setting shows by itself, all of them together may.
  bool outdone_overall(std::size_t arm, const std::vector<std::size_t>& by) const {
    if (answer_.pooled[arm].verdict == Verdict::kWorse) {
      return std::find(by.begin(), by.end(), answer_.baseline) != by.end();
    }
    return arm == answer_.baseline && std::any_of(by.begin(), by.end(), [&](std::size_t other) {
             return answer_.pooled[other].verdict == Verdict::kBetter;
           });
  }

  std::string lowest_means() const {
    std::vector<std::size_t> count(sweep_.arms().size(), 0);
    for (const std::size_t setting : with_result_) ++count[*answer_.settings[setting].best];
    const std::size_t most = *std::max_element(count.begin(), count.end());
    Names often;
    for (std::size_t arm = 0; arm < count.size(); ++arm) {
      if (count[arm] == most) often.push_back(name(arm));
    }
    return fmt::format(
        "There are too few seeds to tell the arms apart setting by setting, so no advice rests on these runs "
        "alone: the lowest mean was most often that of {}, in {} of {} settings.",
        enumerated(often), most, with_result_.size());
  }

  std::size_t times_among_best(std::size_t arm, const std::vector<std::size_t>& settings) const {
    return static_cast<std::size_t>(std::count_if(settings.begin(), settings.end(), [&](std::size_t setting) {
      return answer_.settings[setting].among_best(arm);
    }));
  }

  std::string no_single_choice() const {
    std::size_t most = 0;
    for (std::size_t arm = 0; arm < sweep_.arms().size(); ++arm)
      most = std::max(most, times_among_best(arm, with_result_));
    Names often;
    for (std::size_t arm = 0; arm < sweep_.arms().size(); ++arm) {
      if (times_among_best(arm, with_result_) == most) often.push_back(name(arm));
    }
    return fmt::format(
        "No one normalization was among the best, without a divergence, in every setting: choose by your "
        "batches. "
        "Most often among the best: {}, in {} of {} settings.",
        enumerated(often), most, with_result_.size());
  }

  std::string best_words(std::size_t setting) const {
    if (undecidable(setting))
      return fmt::format("too few seeds to say (lowest mean: {})", name(*answer_.settings[setting].best));
    const Names best = names_among_best(setting);
    if (best.size() == sweep_.arms().size()) return "all arms, none told apart";
    return best.size() == 1 ? best.front() + " alone" : enumerated(best);
  }

  std::string best_by_setting() const {
    std::vector<std::pair<std::string, Names>> groups;  // the best, and where
    for (const std::size_t setting : with_result_) {
      const std::string best = best_words(setting);
      const auto group =
          std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == best; });
      if (group == groups.end()) {
        groups.push_back({best, {words(setting)}});
      } else {
        group->second.push_back(words(setting));
      }
    }
    if (groups.size() > kMostGroups) return best_by_count();
    Names parts;
    for (const auto& [best, where] : groups) parts.push_back(fmt::format("{}: {}", enumerated(where), best));
    return fmt::format("Among the best, by setting — {}.", join(parts, "; "));
  }

  std::string best_by_count() const {
    std::vector<std::size_t> open;
    std::vector<std::size_t> decided;
    for (const std::size_t setting : with_result_) (undecidable(setting) ? open : decided).push_back(setting);
    Names parts;
    for (std::size_t arm = 0; arm < sweep_.arms().size(); ++arm)
      parts.push_back(fmt::format("{} in {}", name(arm), times_among_best(arm, decided)));
    const std::string too_few =
        open.empty() ? "" : fmt::format("; in {} more there are too few seeds to say", open.size());
    if (decided.empty()) return {};
    return fmt::format("Of {}, among the best were {}{}.", counted(decided.size(), "setting"),
                       enumerated(parts), too_few);
  }

  // A mean over settings hides where it is the other way round.
  std::string other_way_round() const {
    Names parts;
    for (std::size_t arm = 0; arm < answer_.pooled.size(); ++arm) {
      const Verdict verdict = answer_.pooled[arm].verdict;
      if (verdict != Verdict::kBetter && verdict != Verdict::kWorse) continue;
      const std::size_t count =
          verdict == Verdict::kBetter ? answer_.settings_higher(arm) : answer_.settings_lower(arm);
      if (count > 0) parts.push_back(fmt::format("{} in {}", name(arm), count));
    }
    return parts.empty() ? ""
                         : fmt::format("setting by setting the means are the other way round for {} of {}",
                                       enumerated(parts), answer_.settings.size());
  }

  std::string told_apart(Verdict verdict, const char* what) const {
    Names names;
    double largest = 0;
    for (std::size_t arm = 0; arm < answer_.pooled.size(); ++arm) {
      const PooledAnswer& pooled = answer_.pooled[arm];
      if (pooled.verdict != verdict) continue;
      names.push_back(fmt::format("{} ({})", name(arm), signed_points(pooled.difference.mean)));
      largest = std::max(largest, pooled.corrected);
    }
    if (names.empty()) return {};
    const char* most = names.size() > 1 && largest >= 0.0001 ? "at most " : "";
    return fmt::format("{} had a {} error ({}{})", enumerated(names), what, most, p_text(largest));
  }

  std::string not_told_apart(Verdict verdict, const char* what) const {
    Names names;
    for (std::size_t arm = 0; arm < answer_.pooled.size(); ++arm) {
      if (answer_.pooled[arm].verdict == verdict) names.push_back(name(arm));
    }
    return names.empty() ? "" : fmt::format("{} {}", enumerated(names), what);
  }

  std::string against_baseline() const {
    Names parts;
    add(parts, told_apart(Verdict::kBetter, "lower"));
    add(parts, told_apart(Verdict::kWorse, "higher"));
    add(parts, not_told_apart(Verdict::kTie, "cannot be told apart from it"));
    add(parts, not_told_apart(Verdict::kTooFewSeeds, "cannot be compared with so few seeds"));
    add(parts, not_told_apart(Verdict::kNoResult, "finished no run to compare"));
    if (parts.empty()) return {};
    add(parts, other_way_round());
    return fmt::format("Against {}, in points, mean over all settings: {}.", name(answer_.baseline),
                       join(parts, "; "));
  }

  const Sweep& sweep_;
  const SweepAnswer& answer_;
  std::vector<std::size_t> with_result_;
};

}  // namespace

std::vector<std::string> sweep_sentences(const Sweep& sweep, const SweepAnswer& answer) {
  return Wording(sweep, answer).sentences();
}

}  // namespace refnorm::report
