#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include <refnorm/report/markup.h>
#include <refnorm/report/plot.h>
#include <refnorm/report/sweep_figure.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

constexpr double kLeast = 0.001;  // percent: no error at all has no place on a logarithmic axis

constexpr std::size_t kMostPanels = 8;

/// Settings that differ in their sampler alone, from the least to the most skewed.
struct Group {
  std::string title;               ///< what they have in common
  std::vector<std::size_t> order;  ///< settings with a measured skew
};

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

/// The axes that are the sampler's, or that are not.
std::vector<std::size_t> axes_of(const Sweep& sweep, bool samplers) {
  std::vector<std::size_t> axes;
  for (std::size_t i = 0; i < sweep.axes.size(); ++i) {
    if ((sweep.axes[i].key == "sampler.kind") == samplers) axes.push_back(i);
  }
  return axes;
}

/// One panel for each batch size, or whatever else varies beside the sampler: batches of two labels are as
/// skewed whatever their size, so their points would lie on each other. One for all where that makes too many
/// panels, or none with two settings.
std::vector<Group> groups_of(const Sweep& sweep) {
  const std::vector<std::size_t> all = by_skew(sweep);
  const std::vector<std::size_t> others = axes_of(sweep, /*samplers=*/false);
  std::map<std::vector<std::size_t>, Group> groups;
  for (const std::size_t i : all) {
    const Setting& setting = sweep.settings[i];
    std::vector<std::size_t> places;
    places.reserve(others.size());
    for (const std::size_t axis : others) places.push_back(setting.places[axis]);
    Group& group = groups[places];
    group.title = setting_words(sweep, setting, others);
    group.order.push_back(i);
  }
  const bool any_line = std::any_of(groups.begin(), groups.end(),
                                    [](const auto& group) { return group.second.order.size() > 1; });
  if (groups.size() < 2 || groups.size() > kMostPanels || !any_line) return {{"", all}};
  std::vector<Group> out;
  out.reserve(groups.size());
  for (auto& [places, group] : groups) out.push_back(std::move(group));
  return out;
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

/// One axis for all panels, so that heights compare.
void fit_errors(std::vector<Panel>& panels) {
  double least = std::numeric_limits<double>::infinity();
  double most = kLeast;
  const auto each = [&](const auto& visit) {
    for (Panel& panel : panels) {
      for (Line& line : panel.lines) {
        for (Vertex& vertex : line.vertices) visit(vertex);
      }
    }
  };
  each([&](const Vertex& vertex) {
    least = std::min(least, vertex.y);
    most = std::max({most, vertex.y, std::min(vertex.high, 100.0)});
  });
  // A wide interval's lower end may lie at or below 0: the axis goes by the means, with some room.
  const Axis axis = log_axis(std::clamp(0.8 * least, kLeast, most), most);
  each([&](Vertex& vertex) {
    for (double* value : {&vertex.y, &vertex.low, &vertex.high}) *value = std::max(*value, axis.low);
  });
  for (Panel& panel : panels) panel.y = axis;
}

/// The settings' names in a strip of their own above the frame, each over its place, or beside it where two
/// would lie on each other; a guide leads down to the place.
class NameStrip {
 public:
  NameStrip(const Sweep& sweep, const Group& group) : sweep_(sweep), order_(group.order) {
    if (!group.title.empty()) axes_ = axes_of(sweep, /*samplers=*/true);
    for (const std::size_t i : order_) longest_ = std::max(longest_, display_width(name(i)));
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
    const Setting& named = sweep_.settings[setting];
    return shortened(
        one_line(axes_.empty() ? setting_words(sweep_, named) : setting_words(sweep_, named, axes_)), 30);
  }

  const Sweep& sweep_;
  const std::vector<std::size_t>& order_;
  std::vector<std::size_t> axes_;  ///< whose values the names are; empty: of all
  std::size_t longest_ = 0;
};

Panel panel_of(const Sweep& sweep, const Group& group) {
  Panel panel;
  panel.x_title = fmt::format(
      "divergence of a batch's {} from the training set's, bits (measured, mean of the runs)", sweep.skew_of);
  panel.y_title = "test error (%), log scale";
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    Line line = arm_line(sweep, group.order, arm);
    if (!line.vertices.empty()) panel.lines.push_back(std::move(line));
  }
  return panel;
}

/// Whether there is any.
bool add_lost(const Sweep& sweep, const Group& group, Panel& panel) {
  bool any = false;
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    for (const std::size_t i : group.order) {
      const Arm& here = sweep.settings[i].arms[arm];
      if (here.test_error.mean || here.runs.empty()) continue;
      panel.lines.push_back(lost_mark(sweep, sweep.settings[i], arm, panel.y.high));
      any = true;
    }
  }
  return any;
}

std::vector<LegendEntry> legend_of(const Sweep& sweep, const std::vector<std::size_t>& settings) {
  std::vector<LegendEntry> entries;
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    const bool any = std::any_of(settings.begin(), settings.end(), [&](std::size_t i) {
      return sweep.settings[i].arms[arm].test_error.mean.has_value();
    });
    entries.push_back({arm, fmt::format("{}{}", sweep.arms()[arm].name, any ? "" : " (no result)")});
  }
  return entries;
}

}  // namespace

std::string skew_svg(const Sweep& sweep, const SweepAnswer& answer) {
  const std::vector<std::size_t> all = by_skew(sweep);
  const bool any =
      std::any_of(all.begin(), all.end(), [&](std::size_t i) { return answer.settings[i].best.has_value(); });
  if (all.size() < 2 || !any) return {};
  const std::vector<Group> groups = groups_of(sweep);
  std::vector<Panel> panels;
  panels.reserve(groups.size());
  for (const Group& group : groups) panels.push_back(panel_of(sweep, group));
  fit_errors(panels);
  bool crosses = false;
  for (std::size_t i = 0; i < groups.size(); ++i) crosses = add_lost(sweep, groups[i], panels[i]) || crosses;
  const double most = *sweep.settings[all.back()].divergence;
  double y = 14;
  std::string body = draw_legend(legend_of(sweep, all), y);
  const std::string note = "point: mean of a setting; band: 95 % interval";
  body += draw_text(Layout::kLeft, y + 14, "note", "start",
                    crosses ? note + "; × at the upper edge: no run finished" : note);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Panel& panel = panels[i];
    panel.x = linear_axis(0, most > 0 ? 1.06 * most : 1, 9);
    const std::string of = groups[i].title.empty() ? "" : fmt::format(": {}", groups[i].title);
    body += draw_text(Layout::kLeft, y + 42, "title", "start",
                      fmt::format("Test error against the measured skew of the batches{}", of));
    const NameStrip names(sweep, groups[i]);
    panel.top = y + 52 + names.height();
    body += names.draw(panel) + draw_panel(panel, i);
    y = panel.top + Layout::kPanelHeight + 46;
  }
  return wrap_svg("Test error against the skew of the batches: " + title(sweep), y + 8, body);
}

}  // namespace refnorm::report
