#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/answer_table.h>
#include <refnorm/report/detection_table.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/paired_words.h>
#include <refnorm/report/paper.h>

namespace refnorm::report {
namespace {

std::string statistics_mode(const Arm& arm, const char* mode) {
  return two_decimals(mean_over_runs(arm, [&](const Run& run) { return value_of(run.by_statistics, mode); }));
}

/// It has runs, and none of them a figure. One whose runs have not ended yet has none.
bool fruitless(const Arm& arm, Place place) {
  return place == Place::kNoResult && !arm.runs.empty();
}

std::vector<std::string> row(const Arm& arm, Place place, bool failures, bool modes) {
  const char* mark = fruitless(arm, place) ? " ×" : place_mark(place);
  std::vector<std::string> cells{fmt::format("{}{}", arm.name, mark), arm.norm, with_interval(arm.test_error),
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

std::string margin_cell(const Result& result, const Answer& answer, std::size_t arm) {
  const AgainstBaseline& against = answer.against[arm];
  if (against.not_worse) return *against.not_worse ? "yes" : "not shown";
  const bool more_diverged =
      result.arms[arm].test_error.diverged > result.arms[*answer.baseline].test_error.diverged;
  return more_diverged ? "no: diverged more often" : "–";
}

std::string test_words(std::size_t comparisons) {
  return fmt::format(
      "p: two-sided sign-flip test{}",
      comparisons > 1 ? fmt::format(", corrected after Holm for {} comparisons", comparisons) : "");
}

std::string difference_words(const Arm& other) {
  return fmt::format(
      "Difference: this arm's test error minus {}'s with the same seed, averaged; positive is worse. The 95 "
      "% "
      "intervals are Student's t, each for itself.",
      other.name);
}

std::vector<std::string> best_notes(const Result& result, const Answer& answer) {
  return {difference_words(result.arms[*answer.best]),
          fmt::format("{}. A tie means that these seeds do not show a difference, not that there is none.",
                      test_words(answer.compared))};
}

std::vector<std::string> baseline_notes(const Result& result, const Answer& answer) {
  const std::string& baseline = result.arms[*answer.baseline].name;
  return {
      difference_words(result.arms[*answer.baseline]),
      fmt::format("{}. Not worse within {} points: yes where the upper end of the 95 % interval lies below "
                  "that; not said of an arm that diverged more often than {}. Pairs lost: seeds with "
                  "which one of the two diverged or failed.",
                  test_words(answer.against_compared), kMargin, baseline)};
}

}  // namespace

Table main_table(const Result& result, const Answer& answer, bool modes) {
  const bool failures =
      std::any_of(result.arms.begin(), result.arms.end(), [](const Arm& a) { return a.failed() > 0; });
  Table table;
  table.head = {"arm", "norm", "test error % [95 % CI]", "n", "diverged"};
  if (failures) table.head.emplace_back("failed");
  if (modes) table.head.insert(table.head.end(), {"running %", "population %", "batch %"});
  table.head.insert(table.head.end(), {"train error %", "images/s", "time"});
  for (std::size_t i = 0; i < result.arms.size(); ++i)
    table.rows.push_back(row(result.arms[i], answer.to_best[i].place, failures, modes));
  return table;
}

Table best_table(const Result& result, const Answer& answer) {
  Table table;
  if (!answer.best) return table;
  table.head = {"arm", "against " + result.arms[*answer.best].name};
  const std::vector<std::string> heads = paired_heads();
  table.head.insert(table.head.end(), heads.begin(), heads.end());
  for (std::size_t i = 0; i < result.arms.size(); ++i) {
    if (i == *answer.best) continue;
    const AgainstBest& found = answer.to_best[i];
    table.rows.push_back({result.arms[i].name, place_words(found.place)});
    const std::vector<std::string> cells = paired_cells(found, found.difference, found.lost);
    table.rows.back().insert(table.rows.back().end(), cells.begin(), cells.end());
  }
  return table;
}

Table baseline_table(const Result& result, const Answer& answer) {
  Table table;
  if (!answer.baseline) return table;
  table.head = {"arm", "against " + result.arms[*answer.baseline].name,
                fmt::format("not worse within {} points", kMargin)};
  table.text_columns = 3;
  const std::vector<std::string> heads = paired_heads();
  table.head.insert(table.head.end(), heads.begin(), heads.end());
  for (std::size_t i = 0; i < result.arms.size(); ++i) {
    if (i == *answer.baseline) continue;
    const AgainstBaseline& found = answer.against[i];
    table.rows.push_back({result.arms[i].name, verdict_words(found.verdict), margin_cell(result, answer, i)});
    const std::vector<std::string> cells = paired_cells(found, found.difference, found.lost);
    table.rows.back().insert(table.rows.back().end(), cells.begin(), cells.end());
  }
  return table;
}

std::vector<std::string> main_notes(const Result& result, const Answer& answer, bool modes) {
  std::vector<Place> places;
  bool crosses = false;
  for (std::size_t i = 0; i < answer.to_best.size(); ++i) {
    places.push_back(answer.to_best[i].place);
    crosses = crosses || fruitless(result.arms[i], places.back());
  }
  std::vector<std::string> notes;
  if (answer.best) {
    std::string marks = mark_words(places, "test error");
    if (crosses) marks += "; × every run diverged or failed";
    notes.push_back(marks + ".");
  }
  notes.emplace_back(
      "test error: mean over the n runs that neither diverged nor failed, with Student's t 95 % interval "
      "(from two runs on) as ± and as [low, high]; evaluated with population statistics where the norm has "
      "them.");
  if (modes) {
    notes.emplace_back(
        "running, population, batch: test error with running averages, with statistics averaged over "
        "training batches afterwards (Algorithm 3), and with those of each test batch; – where the norm has "
        "no such mode.");
  }
  notes.emplace_back(
      "train error: over the last epoch, in training. images/s and time: as the runs measured them. All "
      "three are means over the same runs.");
  return notes;
}

std::vector<Section> paired_sections(const Result& result, const Answer& answer) {
  std::vector<Section> sections;
  if (answer.baseline)
    sections.push_back({fmt::format("Seed by seed against {}", result.arms[*answer.baseline].name),
                        baseline_table(result, answer), baseline_notes(result, answer)});
  // Where the best arm is that one, these are the same tests: both families are all the others.
  if (answer.best && answer.best != answer.baseline && result.arms.size() > 1)
    sections.push_back({"Seed by seed against the arm with the lowest mean", best_table(result, answer),
                        best_notes(result, answer)});
  return sections;
}

std::string markdown_table(const Result& result, const Answer& answer) {
  std::string out = fmt::format("# {}\n\n", escape_markdown(title(result)));
  const std::string less = scaled_down(result);
  if (!less.empty()) out += escape_markdown(less) + "\n\n";
  for (const std::string& sentence : answer.sentences) out += escape_markdown(sentence) + "\n\n";
  const std::string setup = setup_line(result.setup);
  if (!setup.empty()) out += fmt::format("Set-up: {}.\n\n", escape_markdown(setup));
  out += markdown_rows(main_table(result, answer), [&](std::size_t row, std::size_t column) {
    return row == answer.best && (column == 0 || column == 2);
  });
  out += fmt::format("\n{}", markdown_notes(main_notes(result, answer)));
  for (const Section& section : paired_sections(result, answer)) {
    out += fmt::format("\n## {}\n\n{}\n{}", escape_markdown(section.title), markdown_rows(section.table),
                       markdown_notes(section.notes));
  }
  const Table detection = detection_table(result);
  if (!detection.rows.empty()) out += "\n## Average precision\n\n" + markdown_rows(detection);
  const Table figures = paper_figures(result);
  if (!figures.rows.empty()) out += "\n## The paper beside ours\n\n" + markdown_rows(figures);
  return out;
}

std::string plain_table(const Result& result, const Answer& answer) {
  std::string out =
      fmt::format("{}\n\n{}\n", one_line(title(result)), plain_rows(main_table(result, answer)));
  const Table detection = detection_table(result);
  if (!detection.rows.empty()) out += plain_rows(detection) + "\n";
  const Table against = baseline_table(result, answer);
  if (!against.rows.empty()) out += plain_rows(against) + "\n";
  const std::string less = scaled_down(result);
  if (!less.empty()) out += less + "\n";
  for (const std::string& sentence : answer.sentences) out += sentence + "\n";
  if (answer.best) out += main_notes(result, answer).front() + "\n";
  return out;
}

}  // namespace refnorm::report
