#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include <refnorm/report/markup.h>
#include <refnorm/report/plot.h>
#include <refnorm/report/sweep_figure.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

constexpr double kLeast = 0.001;  // percent: no error at all has no place on a logarithmic axis

/// Settings with a measured skew, from the least to the most skewed.
std::vector<std::size_t> by_skew(const Sweep& sweep) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < sweep.settings.size(); ++i) {
    if (sweep.settings[i].divergence) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return *sweep.settings[a].divergence < *sweep.settings[b].divergence;
  });
  return order;
}

Line arm_line(const Sweep& sweep, const std::vector<std::size_t>& order, std::size_t arm) {
  Line line;
  line.style = arm;
  line.title = sweep.arms()[arm].name;
  line.band_title = "band: 95 % intervals of the means";
  line.dots = true;
  for (const std::size_t i : order) {
    const Setting& setting = sweep.settings[i];
    const Summary& found = setting.arms[arm].test_error;
    if (!found.mean) continue;
    const Interval band = found.ci95.value_or(Interval{*found.mean, *found.mean});
    line.band = line.band || found.ci95;
    line.vertices.push_back({*setting.divergence, *found.mean, band.low, band.high,
                             fmt::format("{}, {}: {} % over {} runs, {} diverged; skew {:.2f} bits",
                                         line.title, setting_words(sweep, setting), with_interval(found),
                                         found.n, found.diverged, *setting.divergence)});
  }
  return line;
}

Line lost_mark(const Sweep& sweep, const Setting& setting, std::size_t arm, double top) {
  Line line;
  line.style = arm;
  line.stops_short = true;
  line.title = fmt::format("{}, {}: no run finished", sweep.arms()[arm].name, setting_words(sweep, setting));
  line.vertices.push_back({*setting.divergence, top, top, top, ""});
  return line;
}

void fit_errors(Panel& panel) {
  double least = std::numeric_limits<double>::infinity();
  double most = kLeast;
  for (const Line& line : panel.lines) {
    for (const Vertex& vertex : line.vertices) {
      least = std::min(least, vertex.y);
      most = std::max({most, vertex.y, std::min(vertex.high, 100.0)});
    }
  }
  // A wide interval's lower end may lie at or below 0: the axis goes by the means, with some room.
  panel.y = log_axis(std::clamp(0.8 * least, kLeast, most), most);
  for (Line& line : panel.lines) {
    for (Vertex& vertex : line.vertices) {
      for (double* value : {&vertex.y, &vertex.low, &vertex.high}) *value = std::max(*value, panel.y.low);
    }
  }
}

// The settings' names along their places, left out where they would lie on each other.
std::string setting_names(const Sweep& sweep, const std::vector<std::size_t>& order, const Panel& panel) {
  constexpr double kApart = 13;
  const double width = Layout::kWidth - Layout::kLeft - Layout::kRight;
  std::string out;
  double last = -kApart;
  for (const std::size_t i : order) {
    const double x = Layout::kLeft + panel.x.place(*sweep.settings[i].divergence) * width;
    if (x - last < kApart) continue;
    last = x;
    const double y = panel.top + Layout::kPanelHeight;
    out += fmt::format(
        "<g transform=\"rotate(-90 {0:.1f} {1:.1f})\">{2}</g>\n", x - 4, y - 6,
        draw_text(x - 4, y - 6, "note", "start", shortened(setting_words(sweep, sweep.settings[i]), 34)));
  }
  return out;
}

}  // namespace

std::string skew_svg(const Sweep& sweep, const SweepAnswer& answer) {
  const std::vector<std::size_t> order = by_skew(sweep);
  const bool any = std::any_of(order.begin(), order.end(),
                               [&](std::size_t i) { return answer.settings[i].best.has_value(); });
  if (order.size() < 2 || !any) return {};
  Panel panel;
  std::vector<LegendEntry> entries;
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    Line line = arm_line(sweep, order, arm);
    entries.push_back({arm, line.title + (line.vertices.empty() ? " (no result)" : "")});
    if (!line.vertices.empty()) panel.lines.push_back(std::move(line));
  }
  fit_errors(panel);
  bool crosses = false;
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    for (const std::size_t i : order) {
      const Arm& here = sweep.settings[i].arms[arm];
      if (here.test_error.mean || here.runs.empty()) continue;
      panel.lines.push_back(lost_mark(sweep, sweep.settings[i], arm, panel.y.high));
      crosses = true;
    }
  }
  const double most = *sweep.settings[order.back()].divergence;
  panel.x = linear_axis(0, most > 0 ? 1.06 * most : 1, 9);
  panel.x_title = "divergence of a batch's labels from the training set's, bits (measured, mean of the runs)";
  panel.y_title = "test error (%), log scale";
  panel.title = "Test error against the measured skew of the batches";
  double y = 14;
  std::string body = draw_legend(entries, y);
  const std::string note = "point: mean of a setting; band: 95 % interval";
  body += draw_text(Layout::kLeft, y + 14, "note", "start",
                    crosses ? note + "; × at the upper edge: no run finished" : note);
  panel.top = y + 58;
  body += draw_panel(panel, 0) + setting_names(sweep, order, panel);
  return wrap_svg("Test error against the skew of the batches: " + title(sweep),
                  panel.top + Layout::kPanelHeight + 54, body);
}

}  // namespace refnorm::report
