#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/paired_words.h>
#include <refnorm/report/sweep_answer.h>

namespace refnorm::report {
namespace {

using Names = std::vector<std::string>;

class Cautions {
 public:
  Cautions(const Sweep& sweep, const SweepAnswer& answer) : sweep_(sweep), answer_(answer) {}

  Names all() const {
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

  std::string missing() const {
    std::size_t here = 0;
    std::size_t most = 0;
    for (const Setting& setting : sweep_.settings) {
      for (const Arm& arm : setting.arms) {
        here += arm.runs.size();
        most = std::max(most, arm.runs.size());
      }
    }
    // A file that does not say it: every arm in every setting is to have as many as the one with the most.
    std::size_t planned = most * sweep_.arms().size();
    for (const SweepAxis& axis : sweep_.axes) planned *= axis.values.size();
    planned = sweep_.planned.value_or(planned);
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
      if (found > 0) parts.push_back(fmt::format("{} of {} of {}", found, counted(runs, "run"), name(arm)));
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
    return fmt::format("Setting by setting, {} with {} cannot be decided: {}.", counted(open, "comparison"),
                       name(answer_.baseline),
                       too_few_words(static_cast<std::size_t>(most), answer_.comparisons));
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
};

}  // namespace

std::vector<std::string> sweep_cautions(const Sweep& sweep, const SweepAnswer& answer) {
  return Cautions(sweep, answer).all();
}

}  // namespace refnorm::report
