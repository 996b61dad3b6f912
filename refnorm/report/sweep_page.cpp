#include <algorithm>
#include <cctype>
#include <string_view>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/measures.h>
#include <refnorm/report/page.h>
#include <refnorm/report/sweep_figure.h>
#include <refnorm/report/sweep_page.h>
#include <refnorm/report/sweep_table.h>

namespace refnorm::report {
namespace {

std::string html_of(const Table& table, const StrongCell& strong = {}) {
  return html_table(table.head, table.rows, table.text_columns, std::nullopt, strong);
}

std::string notes(const std::vector<std::string>& sentences) {
  std::string out;
  for (const std::string& sentence : sentences) out += paragraph(sentence, "faint");
  return out;
}

std::string list(const std::vector<std::string>& sentences, const char* kind) {
  if (sentences.empty()) return {};
  std::string out = fmt::format("<ul class=\"{}\">\n", kind);
  for (const std::string& sentence : sentences) out += fmt::format("<li>{}</li>\n", escape_markup(sentence));
  return out + "</ul>\n";
}

std::string answer_section(const Sweep& sweep, const SweepAnswer& answer) {
  std::string out = "<div class=\"answer\">\n";
  for (const std::string& sentence : answer.sentences) out += paragraph(sentence);
  out += "</div>\n" + list(answer.cautions, "cautions");
  const std::string setup = setup_line(sweep.setup);
  return setup.empty() ? out : out + paragraph(setup, "faint");
}

// A relative address; "./" keeps a folder's name from being read as a scheme.
std::string address(const std::string& folder) {
  std::string out = "./";
  for (const char c : folder + "/report.html") {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                       std::string_view("-_./").find(c) != std::string::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string setting_links(const Sweep& sweep) {
  std::vector<std::string> links;
  for (const Setting& setting : sweep.settings) {
    if (setting.has_page)
      links.push_back(fmt::format("<a href=\"{}\">{}</a>", address(setting.folder),
                                  escape_markup(setting_words(sweep, setting))));
  }
  if (links.empty()) return {};
  return fmt::format("<p>Each setting’s own report, with curves and every run: {}.</p>\n", join(links, "; "));
}

std::string error_section(const Sweep& sweep, const SweepAnswer& answer) {
  const auto strong = [&](std::size_t row, std::size_t column) { return is_best(answer, row, column); };
  return heading("Test error, % (arms by settings)") + html_of(error_table(sweep, answer), strong) +
         notes(error_notes(sweep, answer)) + setting_links(sweep);
}

std::string pooled_section(const Sweep& sweep, const SweepAnswer& answer) {
  if (sweep.arms().size() < 2) return {};
  std::string out = fmt::format("<h2>Against {}, over all settings</h2>\n",
                                escape_markup(sweep.arms()[answer.baseline].name));
  out += html_of(pooled_table(sweep, answer)) + notes(pooled_notes(sweep, answer));
  if (sweep.settings.size() < 2) return out;
  return out + "<details>\n<summary>Setting by setting</summary>\n" + html_of(setting_table(sweep, answer)) +
         paragraph(
             fmt::format("Paired by seed; corrected after Holm for all {} comparison{} of this table. The "
                         "95 % intervals are Student's t, each for itself.",
                         answer.comparisons, answer.comparisons == 1 ? "" : "s"),
             "faint") +
         "</details>\n";
}

std::string html_of(const MarkedTable& marked) {
  return html_of(marked.table, marked.strong());
}

// A table of arms by settings for each name, and once what their marks mean.
std::string named_tables(const Sweep& sweep, NamedValues Run::*values) {
  std::string out;
  std::vector<MarkedTable> tables;
  for (const std::string& name : names_of(sweep, values)) {
    tables.push_back(by_setting(sweep, named_value(values, name)));
    out += fmt::format("<h3>{}</h3>\n", escape_markup(key_words(name))) + html_of(tables.back());
  }
  return tables.empty() ? "" : out + paragraph(note_of(tables), "faint");
}

std::string named_section(const Sweep& sweep, const char* title, NamedValues Run::*values, const char* what) {
  const std::string tables = named_tables(sweep, values);
  return tables.empty() ? "" : heading(title) + paragraph(what, "faint") + tables;
}

std::string statistics_section(const Sweep& sweep) {
  const std::string tables = named_tables(sweep, &Run::by_statistics);
  if (tables.empty()) return {};
  return "<details>\n<summary>Test error by the statistics used, %</summary>\n" +
         paragraph(
             "running: averages kept during training; population: averaged over training batches afterwards "
             "(Algorithm 3); batch: those of each test batch, which the sampler does not draw. – "
             "where the norm has no such mode.",
             "faint") +
         tables + "</details>\n";
}

std::string measure_sections(const Sweep& sweep) {
  std::string out;
  if (const Table target = target_table(sweep); !target.rows.empty()) {
    out +=
        heading("Steps to the target") + html_of(target) +
        paragraph(
            "The first step at which the validation error, by running statistics where the norm has them, "
            "was at most the target's: mean ± half of Student's t 95 % interval over the runs that reached "
            "it, and how many of all did; a run that diverged has not.",
            "faint");
  }
  out +=
      named_section(sweep, "Test error by domain, %", &Run::by_domain, "On the test samples of each domain.");
  out += named_section(sweep, "Test error on changed pictures, %", &Run::robustness,
                       "Corruptions with their strength, and attacks with the largest change of a pixel of 0 "
                       "to 1, on the test samples that the recipe names.");
  out += statistics_section(sweep);
  const RunValue best = [](const Run& run) { return run.best_test_error; };
  const bool any = std::any_of(sweep.settings.begin(), sweep.settings.end(), [&](const Setting& setting) {
    return best_of(setting.arms, best).has_value();
  });
  if (!any) return out;
  const MarkedTable marked = by_setting(sweep, best);
  return out + "<details>\n<summary>Test error of the weights with the lowest validation error</summary>\n" +
         html_of(marked) + paragraph(marked.note(), "faint") + "</details>\n";
}

std::string figure(const std::string& svg) {
  return "<figure class=\"scroll\">\n" + svg + "</figure>\n";
}

std::string figure_sections(const Sweep& sweep, const SweepAnswer& answer) {
  std::string out;
  if (const std::string skew = skew_svg(sweep, answer); !skew.empty())
    out +=
        heading("Error against skew") + figure(skew) +
        paragraph(
            "Small batches are skewed, too: even i.i.d. ones of a few samples miss most labels. Where more "
            "than the sampler varies, each panel has the settings that differ in the sampler alone; all have "
            "the same axes.",
            "faint");
  if (const std::string heat = heat_svg(sweep, answer); !heat.empty()) {
    const std::string baseline = sweep.arms()[answer.baseline].name;
    out +=
        fmt::format("<h2>Error as a multiple of {}’s</h2>\n", escape_markup(baseline)) + figure(heat) +
        paragraph(fmt::format("Below 1 and blue: a lower error than {0}'s; above 1 and orange: a higher one; "
                              "full colour from a quarter or four times on. Bold and underlined: told apart "
                              "from {0} in that setting, after correction. ×: no seed with which both "
                              "finished. Seeds with which one of the two diverged are left out.",
                              baseline),
                  "faint");
  }
  return out;
}

std::string tuning_words(const Sweep& sweep) {
  if (!sweep.tuned) return "Chosen for each arm and setting before the runs that are compared.";
  std::vector<std::string> values;
  for (const double value : sweep.tuned->values) values.push_back(fmt::format("{:.6g}", value));
  std::vector<std::string> seeds;
  for (const std::uint64_t seed : sweep.tuned->seeds) seeds.push_back(fmt::format("{}", seed));
  return fmt::format("{}: chosen for each arm and setting from {} by the {}, with seeds of their own ({}).",
                     sweep.tuned->key, join(values, ", "), sweep.tuned->rule, join(seeds, ", "));
}

std::string rate_section(const Sweep& sweep) {
  const Table rates = rate_table(sweep);
  if (rates.rows.empty()) return {};
  std::string out = heading("Learning rates") + html_of(rates) + paragraph(tuning_words(sweep), "faint");
  const bool edge = std::any_of(sweep.settings.begin(), sweep.settings.end(), [](const Setting& setting) {
    return std::any_of(setting.rates.begin(), setting.rates.end(), at_the_edge);
  });
  if (edge)
    out += paragraph("⚠ the lowest or the highest of the values tried: a better one may lie beyond them.",
                     "faint");
  const Table trials = trial_table(sweep);
  if (trials.rows.empty()) return out;
  return out + "<details>\n<summary>Every value tried</summary>\n" + html_of(trials) + "</details>\n";
}

std::string paper_section(const Sweep& sweep) {
  if (!sweep.paper.is_object() || sweep.paper.empty()) return {};
  return heading("What the paper says") + generic_html(sweep.paper);
}

std::string again_section(const Sweep& sweep) {
  std::size_t runs = 0;
  for (const Setting& setting : sweep.settings) {
    for (const Arm& arm : setting.arms) runs += arm.runs.size();
  }
  std::string out = heading("What was run");
  out += paragraph(fmt::format("{} runs: {} arms in {} settings, in {}.", runs, sweep.arms().size(),
                               sweep.settings.size(), readable_duration(sweep.seconds)));
  out += fmt::format("<p>To run it again:</p>\n<pre><code>{}</code></pre>\n", escape_markup(sweep.command));
  for (const SweepAxis& axis : sweep.axes)
    out += paragraph(fmt::format("{}: {}", axis.key, join(axis.values, ", ")), "faint");
  return out + setup_section(sweep);
}

std::string reading_section() {
  return heading("How to read this") +
         "<ul>\n"
         "<li>A setting is one way to make batches. In each, every arm is the same network, data and "
         "schedule "
         "with another normalization; each seed sets the initial weights and the order of the data.</li>\n"
         "<li>The test set is read once, at the end of a run. Lower error is better; differences are in "
         "percentage points.</li>\n"
         "<li>A sign-flip test asks how often differences as large would come about if the two arms were "
         "alike "
         "and chance gave each difference its sign. With n seeds its p cannot go below 2 / "
         "2<sup>n</sup>.</li>\n"
         "<li>A tie means that these runs do not show a difference, not that there is none; “not worse” says "
         "how much of one they rule out.</li>\n"
         "<li>A run that diverged is counted as a divergence and is not averaged; one that failed (crashed, "
         "out "
         "of memory) is neither. An arm that loses runs is averaged over fewer, perhaps luckier, "
         "seeds.</li>\n"
         "<li>All of this speaks of chance between seeds only: not of other data or networks.</li>\n"
         "<li>Resting the pointer on a point, band or cell shows its values; an arm’s name in a legend sets "
         "its "
         "line off, for good when clicked.</li>\n"
         "<li>Made from <code>result.json</code> beside this file, and from nothing else; only the links to "
         "the "
         "settings’ reports depend on those being there.</li>\n"
         "</ul>\n";
}

}  // namespace

std::string html_page(const Sweep& sweep, const SweepAnswer& answer) {
  return page_start("Which normalization to train with", sweep) + answer_section(sweep, answer) +
         error_section(sweep, answer) + figure_sections(sweep, answer) + pooled_section(sweep, answer) +
         measure_sections(sweep) + paper_section(sweep) + rate_section(sweep) + again_section(sweep) +
         reading_section() + page_end();
}

}  // namespace refnorm::report
