#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/answer_table.h>
#include <refnorm/report/detection_table.h>
#include <refnorm/report/html.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/measures.h>
#include <refnorm/report/paper.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

using Rows = std::vector<std::vector<std::string>>;

/// One row an arm, one column a name: mean and interval over the runs that have it.
std::string table_by_name(const Result& result, NamedValues Run::*values) {
  const std::vector<std::string> names = names_of(result.arms, values);
  std::vector<std::string> head{"arm"};
  for (const std::string& name : names) head.push_back(key_words(name) + " %");
  Rows rows;
  for (const Arm& arm : result.arms) {
    std::vector<std::string> cells{arm.name};
    for (const std::string& name : names) {
      std::vector<double> found;
      for (const Run& run : arm.runs) {
        const auto value = value_of(run.*values, name);
        if (run.counts() && value) found.push_back(*value);
      }
      cells.push_back(with_interval(summarize(found)));
    }
    rows.push_back(std::move(cells));
  }
  return names.empty() ? "" : html_table(head, rows, 1);
}

std::string statistics_sections(const Result& result) {
  std::string out;
  const std::string modes = table_by_name(result, &Run::by_statistics);
  if (!modes.empty()) {
    out +=
        heading("Test error by the statistics used") + modes +
        paragraph(
            "running: averages kept during training; population: averaged over training batches afterwards "
            "(Algorithm 3), which makes inference one affine map a layer; batch: those of each test batch. – "
            "where "
            "the norm has no such mode.",
            "faint");
  }
  const std::string readings = table_by_name(result, &Run::by_reading);
  if (!readings.empty()) {
    out +=
        heading("Test error by the reading of Algorithm 3") + readings +
        paragraph(
            "raw averages each batch's own statistics, blended those that training normalized with; printed "
            "takes "
            "the variance as the paper prints it, between adds the variance between batches that the printed "
            "formula leaves out.",
            "faint");
  }
  return out;
}

std::string closer_section(const Result& result) {
  std::string out;
  const std::string closer = table_by_name(result, &Run::closer);
  if (!closer.empty()) {
    out +=
        heading("A closer look") + closer +
        paragraph(
            "worst class: test error of the class with the most errors; in training, in evaluation: error on "
            "the same training samples, in training mode with their batches’ statistics and in evaluation "
            "with those that the test error goes by. What they differ by is owed to the statistics alone.",
            "faint");
  }
  return out;
}

std::string html_of(const MarkedTable& marked) {
  return html_table(marked.table.head, marked.table.rows, marked.table.text_columns, std::nullopt,
                    marked.strong());
}

std::string marked_section(const char* title, const MarkedTable& marked,
                           const std::vector<std::string>& notes) {
  if (marked.table.rows.empty()) return {};
  std::string out = heading(title) + html_of(marked) + paragraph(marked.note(), "faint");
  for (const std::string& note : notes) out += paragraph(note, "faint");
  return out;
}

std::string detection_section(const Result& result) {
  const Table table = detection_table(result);
  if (table.rows.empty()) return {};
  return heading("Average precision") + html_table(table.head, table.rows, table.text_columns) +
         paragraph(
             "In percent, as COCO's evaluation has it: AP is the mean over ten thresholds of the "
             "intersection "
             "over union from 0.5 to 0.95, AP50 and AP75 are those at 0.5 and 0.75; the mean over runs ± "
             "half "
             "of the 95 % interval.",
             "faint");
}

std::string measure_sections(const Result& result) {
  return marked_section("On the way", way_table(result.arms), way_notes(result.arms)) +
         marked_section("Test error by domain, %", named_table(result.arms, &Run::by_domain), {}) +
         marked_section(
             "Test error on changed pictures, %", named_table(result.arms, &Run::robustness),
             {"Corruptions with their strength, and attacks with the largest change of a pixel of 0 to 1, on "
              "the test samples that the recipe names."});
}

std::string html_of(const Section& section) {
  std::string out = heading(section.title.c_str()) +
                    html_table(section.table.head, section.table.rows, section.table.text_columns);
  for (const std::string& note : section.notes) out += paragraph(note, "faint");
  return out;
}

std::string outcome(const Run& run) {
  if (run.failed) return "failed: " + shortened(*run.failed, 200);
  if (!run.diverged) return "finished";
  return run.diverged_at.empty() ? "diverged" : "diverged: " + run.diverged_at;
}

std::string run_section(const Result& result) {
  Rows rows;
  for (const Arm& arm : result.arms) {
    for (const Run& run : arm.runs) {
      const auto mode = [&](const char* name) { return two_decimals(value_of(run.by_statistics, name)); };
      rows.push_back({arm.name, fmt::format("{}", run.seed), outcome(run), two_decimals(run.test_error),
                      mode("running"), mode("population"), mode("batch"), two_decimals(run.train_error),
                      run.best.empty() ? "–" : run.best,
                      run.steps ? with_thousands(static_cast<double>(*run.steps)) : "–",
                      run.images_per_second ? with_thousands(*run.images_per_second) : "–",
                      run.seconds ? readable_duration(*run.seconds) : "–"});
    }
  }
  return "<details>\n<summary>Every run</summary>\n" +
         html_table({"arm", "seed", "outcome", "test error %", "running %", "population %", "batch %",
                     "train error %", "best validation", "steps", "images/s", "time"},
                    rows, 3) +
         "</details>\n";
}

std::string reading_section() {
  return heading("How to read this") +
         "<ul>\n"
         "<li>Each arm is the same network, data and schedule with another normalization; each seed sets the "
         "initial "
         "weights and the order of the data.</li>\n"
         "<li>The test set is read once, at the end of a run. Lower error is better; differences are in "
         "percentage "
         "points.</li>\n"
         "<li>A run that diverged is counted as a divergence and is not averaged; one that failed (crashed, "
         "out of memory) is "
         "neither. An arm that loses runs is averaged over fewer, perhaps luckier, seeds.</li>\n"
         "<li>Intervals speak of chance between seeds only: not of other data, networks or learning "
         "rates.</li>\n"
         "<li>In the curves, resting the pointer on a line, band or point shows its arm, step and "
         "value; an arm’s name in the legend sets its curve off, for good when clicked.</li>\n"
         "<li>Made from <code>result.json</code> and the runs’ <code>metrics.jsonl</code> beside this file, "
         "and from nothing "
         "else.</li>\n"
         "</ul>\n";
}

}  // namespace

std::string html_page(const Result& result, const Answer& answer, const std::string& curves,
                      const std::string& gradients) {
  std::string out = page_start("Comparison of normalizations", result);
  const std::string less = scaled_down(result);
  if (!less.empty()) out += paragraph(less, "note");
  out += "<div class=\"answer\">\n";
  for (const std::string& sentence : answer.sentences) out += paragraph(sentence);
  out += "</div>\n";
  const std::string setup = setup_line(result.setup);
  if (!setup.empty()) out += paragraph(setup, "faint");
  const Table table = main_table(result, answer, false);
  out += heading("Test error") + html_table(table.head, table.rows, table.text_columns, answer.best);
  for (const std::string& note : main_notes(result, answer, false)) out += paragraph(note, "faint");
  out += detection_section(result);
  out += heading("Training curves") + "<figure class=\"scroll\">\n" + curves + "</figure>\n";
  for (const Section& section : paired_sections(result, answer)) out += html_of(section);
  out += measure_sections(result);
  out += closer_section(result);
  out += statistics_sections(result);
  if (!gradients.empty())
    out += heading("Gradients by layer") + "<figure class=\"scroll\">\n" + gradients + "</figure>\n";
  out += paper_section(result, answer);
  out += run_section(result);
  out += setup_section(result);
  out += reading_section();
  return out + page_end();
}

}  // namespace refnorm::report
