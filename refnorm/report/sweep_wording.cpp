#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/sweep_answer.h>
#include <refnorm/report/sweep_table.h>

namespace refnorm::report {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kMostGroups = 4;  // sets of best arms that a sentence can list

std::string times(std::size_t n, const char* thing) {
  return fmt::format("{} {}{}", n, thing, n == 1 ? "" : "s");
}

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
      out.push_back(best_by_setting());
      if (with_result_.size() > 1) add(out, against_baseline());
    }
    return out;
  }

  Names cautions() const {
    Names out;
    add(out, missing());
    add(out, lost("diverged", [](const Arm& arm) { return arm.test_error.diverged; }));
    add(out, lost("failed", [](const Arm& arm) { return static_cast<std::int64_t>(arm.failed()); }));
    add(out, too_few());
    add(out, edges());
    return out;
  }

 private:
  static void add(Names& out, const std::string& sentence) {
    if (!sentence.empty()) out.push_back(sentence);
  }

  std::string name(std::size_t arm) const { return one_line(sweep_.arms()[arm].name); }
  std::string words(std::size_t setting) const {
    return one_line(setting_words(sweep_, sweep_.settings[setting]));
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
    Names always;
    for (std::size_t arm = 0; arm < count; ++arm) {
      const bool everywhere = std::all_of(with_result_.begin(), with_result_.end(), [&](std::size_t setting) {
        return answer_.settings[setting].among_best(arm) &&
               sweep_.settings[setting].arms[arm].test_error.diverged == 0;
      });
      if (everywhere) always.push_back(name(arm));
    }
    if (always.size() == count)
      return fmt::format("These runs do not tell the {} normalizations apart: {} each of them {}.", count,
                         in_settings(), "had the lowest mean test error or could not be told from it");
    if (always.empty())
      return "No one normalization was among the best, without a divergence, in every setting: choose by "
             "your "
             "batches.";
    if (always.size() == 1)
      return fmt::format(
          "Train with {}: {} it had the lowest mean test error or could not be told apart from the arm that "
          "had, and none of its runs diverged; no other arm did so.",
          always.front(), in_settings());
    return fmt::format(
        "Train with any of {}: {} each of them had the lowest mean test error or could not be told apart "
        "from "
        "the arm that had, and none of their runs diverged; these runs do not say which of them is better.",
        enumerated(always), in_settings());
  }

  std::string best_by_setting() const {
    std::vector<std::pair<Names, Names>> groups;  // the best, and where
    for (const std::size_t setting : with_result_) {
      const Names best = names_among_best(setting);
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
    for (const auto& [best, where] : groups) {
      const bool all = best.size() == sweep_.arms().size();
      const std::string whom = all                ? "all arms, none told apart"
                               : best.size() == 1 ? best.front() + " alone"
                                                  : enumerated(best);
      parts.push_back(fmt::format("{}: {}", join(where, " and "), whom));
    }
    return fmt::format("Among the best, by setting — {}.", join(parts, "; "));
  }

  std::string best_by_count() const {
    Names parts;
    for (std::size_t arm = 0; arm < sweep_.arms().size(); ++arm) {
      const auto count = std::count_if(with_result_.begin(), with_result_.end(), [&](std::size_t setting) {
        return answer_.settings[setting].among_best(arm);
      });
      parts.push_back(fmt::format("{} in {}", name(arm), count));
    }
    return fmt::format("Of {} settings, among the best were {}.", with_result_.size(), enumerated(parts));
  }

  std::string against_baseline() const {
    const auto group = [&](Verdict verdict, const char* what) {
      Names names;
      for (std::size_t arm = 0; arm < answer_.pooled.size(); ++arm) {
        const PooledAnswer& pooled = answer_.pooled[arm];
        if (pooled.verdict != verdict) continue;
        const bool told = verdict == Verdict::kBetter || verdict == Verdict::kWorse;
        const std::string lost =
            told && pooled.lost > 0 ? fmt::format(", {} lost", times(pooled.lost, "pair")) : std::string();
        names.push_back(told ? fmt::format("{} ({} points, {}{})", name(arm),
                                           signed_points(pooled.difference.mean), p_text(pooled.corrected),
                                           lost)
                             : name(arm));
      }
      return names.empty() ? "" : fmt::format("{} {}", enumerated(names), what);
    };
    Names parts;
    add(parts, group(Verdict::kBetter, "had a lower error"));
    add(parts, group(Verdict::kWorse, "had a higher error"));
    add(parts, group(Verdict::kTie, "cannot be told apart from it"));
    add(parts, group(Verdict::kTooFewSeeds, "cannot be compared with so few runs"));
    add(parts, group(Verdict::kNoResult, "finished no run to compare"));
    if (parts.empty()) return {};
    return fmt::format("Against {}, over all settings together: {}.", name(answer_.baseline),
                       join(parts, "; "));
  }

  std::string missing() const {
    std::size_t here = 0;
    std::size_t most = 0;
    for (const Setting& setting : sweep_.settings) {
      for (const Arm& arm : setting.arms) {
        here += arm.runs.size();
        most = std::max(most, arm.runs.size());
      }
    }
    std::size_t planned = most * sweep_.arms().size();
    for (const SweepAxis& axis : sweep_.axes) planned *= axis.values.size();
    if (here >= planned) return {};
    return fmt::format("Not all runs are done: {} of {}. What is said here may change.", here, planned);
  }

  std::string lost(const char* how, auto count) const {
    Names parts;
    for (std::size_t arm = 0; arm < sweep_.arms().size(); ++arm) {
      std::int64_t found = 0;
      std::size_t runs = 0;
      for (const Setting& setting : sweep_.settings) {
        found += count(setting.arms[arm]);
        runs += setting.arms[arm].runs.size();
      }
      if (found > 0) parts.push_back(fmt::format("{} of {} of {}", found, times(runs, "run"), name(arm)));
    }
    return parts.empty() ? "" : fmt::format("{} {}.", enumerated(parts), how);
  }

  std::string too_few() const {
    std::int64_t most = 0;
    std::size_t open = 0;
    for (const SettingAnswer& setting : answer_.settings) {
      for (const AgainstBaseline& against : setting.against) {
        if (against.verdict != Verdict::kTooFewSeeds) continue;
        ++open;
        most = std::max(most, against.difference.n);
      }
    }
    if (open == 0) return {};
    const double smallest = smallest_sign_flip_p(static_cast<std::size_t>(most));
    std::string out = fmt::format("Setting by setting, {} with {} cannot be decided: {} cannot go below {}",
                                  times(open, "comparison"), name(answer_.baseline),
                                  times(static_cast<std::size_t>(most), "seed"), p_text(smallest));
    if (answer_.comparisons > 1)
      out += fmt::format(", and that is to be corrected for {} comparisons", answer_.comparisons);
    const auto needed = pairs_needed(answer_.comparisons);
    return out + (needed ? fmt::format("; {} could.", times(*needed, "seed")) : std::string("."));
  }

  std::string edges() const {
    Names parts;
    for (std::size_t arm = 0; arm < sweep_.arms().size(); ++arm) {
      const auto count =
          std::count_if(sweep_.settings.begin(), sweep_.settings.end(),
                        [&](const Setting& setting) { return at_the_edge(setting.rates[arm]); });
      if (count > 0)
        parts.push_back(fmt::format("{} (in {} of {})", name(arm), count, sweep_.settings.size()));
    }
    if (parts.empty()) return {};
    return fmt::format(
        "The learning rate chosen is the lowest or the highest of those tried for {}: with a wider range "
        "these "
        "could come out better.",
        enumerated(parts));
  }

  const Sweep& sweep_;
  const SweepAnswer& answer_;
  std::vector<std::size_t> with_result_;
};

}  // namespace

std::string p_text(double p) {
  if (p < 0.0001) return "p < 0.0001";
  return p < 0.01 ? fmt::format("p = {:.4f}", p) : fmt::format("p = {:.3g}", p);
}

std::vector<std::string> sweep_sentences(const Sweep& sweep, const SweepAnswer& answer) {
  return Wording(sweep, answer).sentences();
}

std::vector<std::string> sweep_cautions(const Sweep& sweep, const SweepAnswer& answer) {
  return Wording(sweep, answer).cautions();
}

}  // namespace refnorm::report
