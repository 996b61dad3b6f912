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

/// The settings' names in a strip of their own above the frame, each over its place, or beside it where two
/// would lie on each other; a guide leads down to the place.
class NameStrip {
 public:
  NameStrip(const Sweep& sweep, const std::vector<std::size_t>& order) : sweep_(sweep), order_(order) {
    for (const std::size_t i : order) longest_ = std::max(longest_, display_width(name(i)));
  }

  double height() const { return 16 + 6.3 * static_cast<double>(longest_); }

  std::string draw(const Panel& panel) const {
    constexpr double kApart = 14;
    const double width = Layout::kWidth - Layout::kLeft - Layout::kRight;
    std::string out;
    double last = 0;
    for (const std::size_t i : order_) {
      const double x = Layout::kLeft + panel.x.place(*sweep_.settings[i].divergence) * width;
      const double beside = std::max(x, last + kApart);
      last = beside;
      out += fmt::format(
          "<path class=\"grid\" d=\"M{0:.1f} {1:.1f}L{2:.1f} {3:.1f}V{4:.1f}\" fill=\"none\" "
          "stroke=\"#d9dee3\" stroke-dasharray=\"3 3\"/>\n<g transform=\"rotate(-90 {5:.1f} "
          "{1:.1f})\">{6}</g>\n",
          beside, panel.top - 10, x, panel.top, panel.top + Layout::kPanelHeight, beside + 4,
          draw_text(beside + 4, panel.top - 10, "note", "start", name(i)));
    }
    return out;
  }

 private:
  std::string name(std::size_t setting) const {
    return shortened(one_line(setting_words(sweep_, sweep_.settings[setting])), 30);
  }

  const Sweep& sweep_;
  const std::vector<std::size_t>& order_;
  std::size_t longest_ = 0;
};

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
  double y = 14;
  std::string body = draw_legend(entries, y);
  const std::string note = "point: mean of a setting; band: 95 % interval";
  body += draw_text(Layout::kLeft, y + 14, "note", "start",
                    crosses ? note + "; × at the upper edge: no run finished" : note);
  body += draw_text(Layout::kLeft, y + 42, "title", "start",
                    "Test error against the measured skew of the batches");
  const NameStrip names(sweep, order);
  panel.top = y + 52 + names.height();
  body += names.draw(panel) + draw_panel(panel, 0);
  return wrap_svg("Test error against the skew of the batches: " + title(sweep),
                  panel.top + Layout::kPanelHeight + 54, body);
}

}  // namespace refnorm::report
