#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

std::string statistics_mode(const Arm& arm, const char* mode) {
  return two_decimals(mean_over_runs(arm, [&](const Run& run) { return value_of(run.by_statistics, mode); }));
}

std::vector<std::string> row(const Arm& arm, Standing standing, bool failures, bool modes) {
  const std::string marked =
      mark(standing).empty() ? arm.name : fmt::format("{} {}", arm.name, mark(standing));
  std::vector<std::string> cells{marked, arm.norm, with_interval(arm.test_error),
                                 fmt::format("{}", arm.test_error.n),
                                 fmt::format("{}", arm.test_error.diverged)};
  if (failures) cells.push_back(fmt::format("{}", arm.failed()));
  if (modes) {
    for (const char* mode : {"running", "population", "batch"}) cells.push_back(statistics_mode(arm, mode));
  }
  cells.push_back(two_decimals(mean_over_runs(arm, [](const Run& run) { return run.train_error; })));
  const auto speed = mean_over_runs(arm, [](const Run& run) { return run.images_per_second; });
  const auto seconds = mean_over_runs(arm, [](const Run& run) { return run.seconds; });
  cells.push_back(speed ? (*speed < 10 ? two_decimals(speed) : with_thousands(*speed)) : "–");
  cells.push_back(seconds ? readable_duration(*seconds) : "–");
  return cells;
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return right ? space + text : text + space;
}

}  // namespace

std::string plain_value(const Json& value) {
  if (value.is_null()) return "–";
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string mark(Standing standing) {
  switch (standing) {
    case Standing::kBest:
      return "★";
    case Standing::kSame:
      return "≈";
    case Standing::kTooFewSeeds:
    case Standing::kNoSpread:
    case Standing::kBetterInCommon:
      return "?";
    case Standing::kNoResult:
      return "×";
    case Standing::kWorse:
      break;
  }
  return "";
}

std::string with_interval(const Summary& summary) {
  if (!summary.ci95) return two_decimals(summary.mean);
  const double half = (summary.ci95->high - summary.ci95->low) / 2;
  return fmt::format("{} ± {} [{}, {}]", two_decimals(summary.mean), two_decimals(half),
                     two_decimals(summary.ci95->low), two_decimals(summary.ci95->high));
}

Table main_table(const Result& result, const Answer& answer, bool modes) {
  const bool failures =
      std::any_of(result.arms.begin(), result.arms.end(), [](const Arm& a) { return a.failed() > 0; });
  Table table;
  table.head = {"arm", "norm", "test error % [95 % CI]", "n", "diverged"};
  if (failures) table.head.emplace_back("failed");
  if (modes) table.head.insert(table.head.end(), {"running %", "population %", "batch %"});
  table.head.insert(table.head.end(), {"train error %", "images/s", "time"});
  for (std::size_t i = 0; i < result.arms.size(); ++i) {
    table.rows.push_back(row(result.arms[i], answer.arms[i].standing, failures, modes));
  }
  return table;
}

std::string title(const Experiment& experiment) {
  if (experiment.note.empty()) return experiment.recipe;
  return fmt::format("{} ({})", experiment.recipe, experiment.note);
}

std::string setup_line(const Json& setup) {
  std::vector<std::string> parts;
  for (const auto& member : setup.items()) {
    if (member.value().is_structured() || member.value().is_null()) continue;
    std::string words = member.key();
    std::replace(words.begin(), words.end(), '_', ' ');
    parts.push_back(fmt::format("{} {}", words, plain_value(member.value())));
  }
  return join(parts, " · ");
}

std::vector<std::string> footnotes(const Answer& answer, bool modes) {
  const auto holds = [&](const std::string& wanted) {
    return std::any_of(answer.arms.begin(), answer.arms.end(),
                       [&](const Comparison& arm) { return mark(arm.standing) == wanted; });
  };
  std::vector<std::string> notes;
  if (holds("★")) {
    std::string marks = "★ lowest mean test error";
    if (holds("≈")) {
      marks += fmt::format(
          "; ≈ cannot be told apart from it: the {:.4g} % interval of the paired difference over common "
          "seeds holds 0",
          answer.confidence * 100);
    }
    if (holds("?")) marks += "; ? the seeds in common do not say which of the two is better";
    if (holds("×")) marks += "; × every run diverged or failed";
    notes.push_back(marks + ".");
  }
  notes.emplace_back(
      "test error: mean over the n runs that neither diverged nor failed, with Student's t 95 % interval "
      "(from two runs "
      "on) as ± and as [low, high]; evaluated with population statistics where the norm has them.");
  if (modes) {
    notes.emplace_back(
        "running, population, batch: test error with running averages, with statistics averaged over "
        "training batches "
        "afterwards (Algorithm 3), and with those of each test batch; – where the norm has no such mode.");
  }
  notes.emplace_back(
      "train error: over the last epoch, in training. images/s and time: as the runs measured them. All "
      "three are means "
      "over the same runs.");
  return notes;
}

std::string markdown_rows(const Table& table, const StrongCell& strong) {
  std::string out;
  constexpr std::size_t kHead = std::size_t(-1);
  const auto line = [&](const std::vector<std::string>& cells, std::size_t row) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string cell = escape_markdown(cells[i]);
      out += row != kHead && strong && strong(row, i) ? fmt::format("| **{}** ", cell)
                                                      : fmt::format("| {} ", cell);
    }
    out += "|\n";
  };
  line(table.head, kHead);
  for (std::size_t i = 0; i < table.head.size(); ++i) out += i < table.text_columns ? "|:--" : "|--:";
  out += "|\n";
  for (std::size_t i = 0; i < table.rows.size(); ++i) line(table.rows[i], i);
  return out;
}

std::string plain_rows(const Table& table) {
  std::vector<std::vector<std::string>> lines{table.head};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<std::size_t> widths(table.head.size(), 0);
  for (auto& cells : lines) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      cells[i] = one_line(cells[i]);
      widths[i] = std::max(widths[i], display_width(cells[i]));
    }
  }
  std::string out;
  for (const auto& cells : lines) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      text += (i > 0 ? "  " : "") + padded(cells[i], widths[i], i >= table.text_columns);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string markdown_table(const Result& result, const Answer& answer) {
  const Table table = main_table(result, answer);
  std::string out =
      fmt::format("# {}\n\n{}\n\n", escape_markdown(title(result)), escape_markdown(answer.sentence));
  const std::string setup = setup_line(result.setup);
  if (!setup.empty()) out += fmt::format("Set-up: {}.\n\n", escape_markdown(setup));
  out += markdown_rows(table, [&](std::size_t row, std::size_t column) {
    return answer.arms[row].standing == Standing::kBest && (column == 0 || column == 2);
  });
  out += "\n";
  for (const std::string& note : footnotes(answer)) out += fmt::format("- {}\n", escape_markdown(note));
  return out;
}

std::string plain_table(const Result& result, const Answer& answer) {
  std::string out = fmt::format("{}\n\n{}\n{}\n", one_line(title(result)),
                                plain_rows(main_table(result, answer)), answer.sentence);
  const std::vector<std::string> notes = footnotes(answer);
  if (answer.best) out += fmt::format("{}\n", notes.front());
  return out;
}

}  // namespace refnorm::report
