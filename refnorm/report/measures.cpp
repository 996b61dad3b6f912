#include <algorithm>

#include <fmt/format.h>

#include <refnorm/report/markup.h>
#include <refnorm/report/measures.h>
#include <refnorm/report/page.h>
#include <refnorm/report/paired_words.h>

namespace refnorm::report {
namespace {

void add_names(const std::vector<Arm>& arms, NamedValues Run::*values, std::vector<std::string>& names) {
  for (const Arm& arm : arms) {
    for (const Run& run : arm.runs) {
      for (const auto& [name, value] : run.*values) {
        if (value && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
    }
  }
}

void start_rows(const std::vector<Arm>& arms, MarkedTable& marked) {
  marked.table = {{"arm"}, {}, 1};
  for (const Arm& arm : arms) marked.table.rows.push_back({arm.name});
}

void add_column(const std::string& head, const std::vector<Arm>& arms, const RunValue& value,
                MarkedTable& marked) {
  marked.table.head.push_back(head);
  std::vector<Place>& places = marked.places.emplace_back();
  const std::vector<AgainstBest> found = against_best(arms, best_of(arms, value), value);
  for (std::size_t i = 0; i < arms.size(); ++i) {
    places.push_back(found[i].place);
    marked.table.rows[i].push_back(mean_and_half(summarize(arms[i], value)) + place_mark(found[i].place));
  }
}

bool any_run(const std::vector<Arm>& arms, const std::function<bool(const Run&)>& wanted) {
  return std::any_of(arms.begin(), arms.end(),
                     [&](const Arm& arm) { return std::any_of(arm.runs.begin(), arm.runs.end(), wanted); });
}

bool has_target(const std::vector<Arm>& arms) {
  return any_run(arms, [](const Run& run) { return run.has_target; });
}

/// "430 ± 20"; whole numbers from ten on.
std::string amount(const Arm& arm, const RunValue& value) {
  const Summary found = summarize(arm, value);
  if (!found.mean) return "–";
  if (*found.mean < 10) return mean_and_half(found);
  std::string mean = with_thousands(*found.mean);
  if (!found.ci95) return mean;
  return fmt::format("{} ± {}", mean, with_thousands((found.ci95->high - found.ci95->low) / 2));
}

std::string reached(const Arm& arm) {
  const auto count = std::count_if(arm.runs.begin(), arm.runs.end(), [](const Run& run) {
    return run.counts() && run.steps_to_target.has_value();
  });
  return fmt::format("{} of {}", count, arm.runs.size());
}

std::optional<double> steps_to_target(const Run& run) {
  return run.steps_to_target;
}

}  // namespace

std::vector<std::string> names_of(const std::vector<Arm>& arms, NamedValues Run::*values) {
  std::vector<std::string> names;
  add_names(arms, values, names);
  return names;
}

std::vector<std::string> names_of(const Sweep& sweep, NamedValues Run::*values) {
  std::vector<std::string> names;
  for (const Setting& setting : sweep.settings) add_names(setting.arms, values, names);
  return names;
}

RunValue named_value(NamedValues Run::*values, std::string name) {
  return [values, name = std::move(name)](const Run& run) { return value_of(run.*values, name); };
}

std::string mean_and_half(const Summary& summary) {
  if (!summary.ci95) return two_decimals(summary.mean);
  return fmt::format("{} ± {}", two_decimals(summary.mean),
                     two_decimals((summary.ci95->high - summary.ci95->low) / 2));
}

StrongCell MarkedTable::strong() const {
  return [this](std::size_t row, std::size_t column) {
    return column > 0 && column <= places.size() && places[column - 1][row] == Place::kBest;
  };
}

std::string MarkedTable::note() const {
  return note_of({*this});
}

std::string note_of(const std::vector<MarkedTable>& tables) {
  std::vector<Place> all;
  for (const MarkedTable& marked : tables) {
    for (const auto& column : marked.places) all.insert(all.end(), column.begin(), column.end());
  }
  return fmt::format(
      "Mean ± half of Student's t 95 % interval. {}; by two-sided sign-flip tests over common seeds, each "
      "column corrected after Holm for itself.",
      mark_words(all, "of the column"));
}

MarkedTable named_table(const std::vector<Arm>& arms, NamedValues Run::*values) {
  MarkedTable marked;
  const std::vector<std::string> names = names_of(arms, values);
  if (names.empty()) return marked;
  start_rows(arms, marked);
  for (const std::string& name : names) add_column(key_words(name), arms, named_value(values, name), marked);
  return marked;
}

MarkedTable by_setting(const Sweep& sweep, const RunValue& value) {
  MarkedTable marked;
  start_rows(sweep.arms(), marked);
  for (const Setting& setting : sweep.settings)
    add_column(setting_words(sweep, setting), setting.arms, value, marked);
  return marked;
}

MarkedTable way_table(const std::vector<Arm>& arms) {
  MarkedTable marked;
  if (!any_run(arms, [](const Run& run) { return run.best_validation_error.has_value(); })) return marked;
  start_rows(arms, marked);
  add_column(
      "best validation error %", arms, [](const Run& run) { return run.best_validation_error; }, marked);
  if (any_run(arms, [](const Run& run) { return run.best_test_error.has_value(); }))
    add_column(
        "test error % of the best", arms, [](const Run& run) { return run.best_test_error; }, marked);
  const auto plain = [&](const char* head, const auto& cell) {
    marked.table.head.emplace_back(head);
    for (std::size_t i = 0; i < arms.size(); ++i) marked.table.rows[i].push_back(cell(arms[i]));
  };
  if (any_run(arms, [](const Run& run) { return run.best_step.has_value(); })) {
    plain("step of the best",
          [](const Arm& arm) { return amount(arm, [](const Run& run) { return run.best_step; }); });
  }
  if (!has_target(arms)) return marked;
  plain("steps to target", [](const Arm& arm) { return amount(arm, steps_to_target); });
  plain("seconds to target",
        [](const Arm& arm) { return amount(arm, [](const Run& run) { return run.seconds_to_target; }); });
  plain("reached", reached);
  return marked;
}

Table target_table(const Sweep& sweep) {
  const bool any = std::any_of(sweep.settings.begin(), sweep.settings.end(),
                               [](const Setting& setting) { return has_target(setting.arms); });
  Table table{{"arm"}, {}, 1};
  if (!any) return table;
  for (const Setting& setting : sweep.settings) table.head.push_back(setting_words(sweep, setting));
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    std::vector<std::string> row{sweep.arms()[arm].name};
    for (const Setting& setting : sweep.settings)
      row.push_back(
          fmt::format("{} ({})", amount(setting.arms[arm], steps_to_target), reached(setting.arms[arm])));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> way_notes(const std::vector<Arm>& arms) {
  std::vector<std::string> notes{
      "Validation errors on the way are by running statistics where the norm has them, so that they need no "
      "pass of their own; the test error of the best is that of the weights with the lowest one, by the "
      "statistics of the test error above."};
  if (has_target(arms))
    notes.emplace_back(
        "Steps to target: the first step at which the validation error was at most the target's, and the "
        "seconds spent in training steps until then, over the runs that reached it; a run that diverged has "
        "not.");
  return notes;
}

}  // namespace refnorm::report
