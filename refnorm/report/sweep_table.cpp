#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/paired_words.h>
#include <refnorm/report/sweep_table.h>

namespace refnorm::report {
namespace {

std::string lost_runs(const Arm& arm) {
  const std::string lost = lost_words(arm, ", ");
  return lost.empty() ? "" : fmt::format("({} of {} runs)", lost, arm.runs.size());
}

std::string error_cell(const Arm& arm, Place place) {
  if (arm.runs.empty()) return "no run yet";
  if (arm.test_error.diverged == static_cast<std::int64_t>(arm.runs.size()))
    return fmt::format("× all {} diverged", arm.runs.size());
  std::string text = two_decimals(arm.test_error.mean);
  if (const auto& ci = arm.test_error.ci95)
    text += fmt::format(" ± {}", two_decimals((ci->high - ci->low) / 2));
  text += place_mark(place);
  const std::string lost = lost_runs(arm);
  return lost.empty() ? text : fmt::format("{} {}", text, lost);
}

std::vector<std::string> settings_head(const Sweep& sweep) {
  std::vector<std::string> head{"arm"};
  for (const Setting& setting : sweep.settings) head.push_back(setting_words(sweep, setting));
  return head;
}

std::string margin_cell(const SweepAnswer& answer, std::size_t arm) {
  const PooledAnswer& pooled = answer.pooled[arm];
  if (pooled.not_worse)
    return fmt::format("{} ({} of {})", *pooled.not_worse ? "yes" : "not shown",
                       answer.settings_not_worse(arm), answer.settings.size());
  return pooled.diverged > 0 ? "no: diverged more often" : "–";
}

std::vector<std::string> pooled_row(const Sweep& sweep, const SweepAnswer& answer, std::size_t arm) {
  const PooledAnswer& pooled = answer.pooled[arm];
  const bool compared = pooled.difference.pairs > 0;
  return {sweep.arms()[arm].name,
          verdict_words(pooled.verdict),
          signed_points(pooled.difference.mean),
          signed_interval(pooled.difference.interval),
          compared ? p_cell(pooled.p) : "–",
          compared ? p_cell(pooled.corrected) : "–",
          fmt::format("{} / {}", answer.settings_lower(arm), answer.settings_higher(arm)),
          compared ? margin_cell(answer, arm) : "–",
          fmt::format("{}", pooled.difference.pairs),
          fmt::format("{}", pooled.lost),
          fmt::format("{} of {}", pooled.diverged, pooled.runs)};
}

std::vector<Place> all_places(const SweepAnswer& answer) {
  std::vector<Place> places;
  for (const SettingAnswer& setting : answer.settings) {
    for (const AgainstBest& arm : setting.to_best) places.push_back(arm.place);
  }
  return places;
}

std::string paragraphs(const std::vector<std::string>& sentences, const char* separator,
                       std::string (*escape)(std::string_view)) {
  std::vector<std::string> escaped;
  escaped.reserve(sentences.size());
  for (const std::string& sentence : sentences) escaped.push_back(escape(sentence));
  return join(escaped, separator);
}

}  // namespace

Table error_table(const Sweep& sweep, const SweepAnswer& answer) {
  Table table{settings_head(sweep), {}, 1};
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    std::vector<std::string> row{sweep.arms()[arm].name};
    for (std::size_t i = 0; i < sweep.settings.size(); ++i)
      row.push_back(error_cell(sweep.settings[i].arms[arm], answer.settings[i].to_best[arm].place));
    table.rows.push_back(std::move(row));
  }
  return table;
}

bool is_best(const SweepAnswer& answer, std::size_t row, std::size_t column) {
  return column > 0 && answer.settings[column - 1].best == row;
}

Table pooled_table(const Sweep& sweep, const SweepAnswer& answer) {
  Table table;
  table.head = {"arm",
                "against " + sweep.arms()[answer.baseline].name,
                "difference, points",
                "95 % interval",
                "p",
                "p corrected",
                "settings lower / higher",
                fmt::format("not worse within {} points", kMargin),
                "pairs",
                "pairs lost",
                "diverged"};
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    if (arm != answer.baseline) table.rows.push_back(pooled_row(sweep, answer, arm));
  }
  return table;
}

Table setting_table(const Sweep& sweep, const SweepAnswer& answer) {
  Table table{{"setting", "arm", "against " + sweep.arms()[answer.baseline].name}, {}, 3};
  const std::vector<std::string> heads = paired_heads();
  table.head.insert(table.head.end(), heads.begin(), heads.end());
  for (std::size_t i = 0; i < sweep.settings.size(); ++i) {
    for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
      if (arm == answer.baseline) continue;
      const AgainstBaseline& found = answer.settings[i].against[arm];
      std::vector<std::string> row{setting_words(sweep, sweep.settings[i]), sweep.arms()[arm].name,
                                   verdict_words(found.verdict)};
      const std::vector<std::string> cells = paired_cells(found, found.difference, found.lost);
      row.insert(row.end(), cells.begin(), cells.end());
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

Table rate_table(const Sweep& sweep) {
  Table table{settings_head(sweep), {}, 1};
  bool any = false;
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    std::vector<std::string> row{sweep.arms()[arm].name};
    for (const Setting& setting : sweep.settings) {
      const Rate& rate = setting.rates[arm];
      any = any || rate.chosen;
      const std::string value = rate.chosen ? fmt::format("{:.6g}", *rate.chosen) : "–";
      row.push_back(at_the_edge(rate) ? value + " ⚠" : value);
    }
    table.rows.push_back(std::move(row));
  }
  if (!any) table.rows.clear();
  return table;
}

Table trial_table(const Sweep& sweep) {
  Table table{{"setting", "arm", "tried", "validation error %"}, {}, 2};
  for (const Setting& setting : sweep.settings) {
    for (std::size_t arm = 0; arm < setting.arms.size(); ++arm) {
      for (const Rate::Trial& trial : setting.rates[arm].tried) {
        const bool chosen = setting.rates[arm].chosen == trial.value;
        table.rows.push_back(
            {setting_words(sweep, setting), setting.arms[arm].name,
             fmt::format("{:.6g}{}", trial.value, chosen ? " ★" : ""),
             trial.validation_error ? two_decimals(trial.validation_error) : "none finished"});
      }
    }
  }
  return table;
}

std::vector<std::string> error_notes(const Sweep& sweep, const SweepAnswer& answer) {
  std::vector<std::string> notes{mark_words(all_places(answer), "test error of the setting") + "."};
  notes.push_back(fmt::format(
      "Test error in percent, by population statistics where the norm has them: mean over the runs that "
      "finished ± half of Student's t 95 % interval. Arms of "
      "one setting are paired by seed with the ★ arm in a two-sided sign-flip test, corrected after Holm for "
      "the {} comparison{} of the setting.",
      sweep.arms().size() - 1, sweep.arms().size() == 2 ? "" : "s"));
  return notes;
}

std::vector<std::string> pooled_notes(const Sweep& sweep, const SweepAnswer& answer) {
  const std::string baseline = sweep.arms()[answer.baseline].name;
  return {
      fmt::format("Difference: this arm's test error minus {}'s with the same seed in the same setting; the "
                  "mean of each setting counts the same; positive is worse. p: two-sided sign-flip test in "
                  "which all pairs of a seed flip together, since they share initial weights and data "
                  "order; corrected after Holm for the {} arms. The interval is Student's t over seeds.",
                  baseline, sweep.arms().size() - 1),
      fmt::format(
          "Not worse within {} points: yes where the upper end of the 95 % interval lies below that, then in "
          "brackets in how many settings it does so alone, each interval for itself; not said of an arm that "
          "diverged more often than {}. Pairs lost: "
          "seeds with which one of the two diverged or failed, so that there is no difference; an arm "
          "that loses pairs is compared over the perhaps easier rest.",
          kMargin, baseline)};
}

std::string markdown_table(const Sweep& sweep, const SweepAnswer& answer) {
  std::string out = fmt::format("# {}\n\n{}\n\n", escape_markdown(title(sweep)),
                                paragraphs(answer.sentences, " ", escape_markdown));
  for (const std::string& caution : answer.cautions) out += fmt::format("- {}\n", escape_markdown(caution));
  if (!answer.cautions.empty()) out += "\n";
  out += "## Test error\n\n" +
         markdown_rows(error_table(sweep, answer),
                       [&](std::size_t row, std::size_t column) { return is_best(answer, row, column); });
  out += "\n";
  out += markdown_notes(error_notes(sweep, answer));
  if (sweep.arms().size() > 1) {
    out += fmt::format("\n## Against {}, over all settings\n\n",
                       escape_markdown(sweep.arms()[answer.baseline].name));
    out += markdown_rows(pooled_table(sweep, answer)) + "\n";
    out += markdown_notes(pooled_notes(sweep, answer));
  }
  const Table rates = rate_table(sweep);
  if (!rates.rows.empty()) out += "\n## Learning rates\n\n" + markdown_rows(rates);
  const std::string setup = setup_line(sweep.setup);
  if (!setup.empty()) out += fmt::format("\nSet-up: {}.\n", escape_markdown(setup));
  return out + fmt::format("\nMade in {} by: {}\n", readable_duration(sweep.seconds),
                           escape_markdown(sweep.command));
}

std::string plain_table(const Sweep& sweep, const SweepAnswer& answer) {
  std::string out = fmt::format("{}\n\n{}\n", one_line(title(sweep)), plain_rows(error_table(sweep, answer)));
  if (sweep.arms().size() > 1) out += plain_rows(pooled_table(sweep, answer)) + "\n";
  out += paragraphs(answer.sentences, "\n", one_line) + "\n";
  for (const std::string& caution : answer.cautions) out += fmt::format("{}\n", one_line(caution));
  return out + fmt::format("{}\n", error_notes(sweep, answer).front());
}

}  // namespace refnorm::report
