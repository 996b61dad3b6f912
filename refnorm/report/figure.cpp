#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/curves.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/plot.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

constexpr std::size_t kMostPoints = 400;  // more do not fit into the picture's width

std::vector<Trace> mapped(const std::vector<Trace>& traces, auto change) {
  std::vector<Trace> out = traces;
  for (Trace& trace : out) trace.points = change(trace.points);
  return out;
}

template <class Visit>
void for_each_trace(const std::vector<ArmTraces>& arms, Visit visit) {
  for (const ArmTraces& arm : arms) {
    for (const auto* group : {&arm.counted, &arm.diverged}) {
      for (const Trace& trace : *group) visit(trace);
    }
  }
}

/// What both panels share: the traces as drawn, and how they were thinned.
struct Figure {
  std::vector<ArmTraces> arms;
  std::uint64_t last_step = 1;
  std::uint64_t width = 0;  ///< steps each point is the mean of, 0 where all logged points are drawn
  std::size_t most_points = 0;
  double lowest = 100;  ///< lowest mean accuracy once the first steps are over
};

Figure prepare(const std::vector<ArmTraces>& traces) {
  Figure figure{traces};
  for_each_trace(traces, [&](const Trace& trace) {
    figure.last_step = std::max(figure.last_step, trace.points.back().step);
    figure.most_points = std::max(figure.most_points, trace.points.size());
  });
  if (figure.most_points > kMostPoints) {
    figure.width = static_cast<std::uint64_t>(round_up(static_cast<double>(figure.last_step) / kMostPoints));
    figure.most_points = 0;
    for (ArmTraces& arm : figure.arms) {
      for (auto* group : {&arm.counted, &arm.diverged}) {
        *group = mapped(*group, [&](const auto& points) { return coarsened(points, figure.width); });
        for (const Trace& trace : *group)
          figure.most_points = std::max(figure.most_points, trace.points.size());
      }
    }
  }
  // All curves rise steeply at first; an axis down to where they start would leave no room for where they
  // differ.
  const double early = 0.04 * static_cast<double>(figure.last_step);
  for (const ArmTraces& arm : figure.arms) {
    const auto band = band_over(arm.counted);
    for (const BandPoint& point : band) {
      if (static_cast<double>(point.step) >= early) figure.lowest = std::min(figure.lowest, point.mean);
    }
  }
  if (figure.lowest == 100) {
    for_each_trace(figure.arms, [&](const Trace& trace) {
      for (const Point& point : trace.points) figure.lowest = std::min(figure.lowest, point.accuracy);
    });
  }
  return figure;
}

/// Panel values of accuracies: the accuracy itself, or the error.
using Value = double (*)(double accuracy);
double accuracy_itself(double accuracy) {
  return accuracy;
}
double error_of(double accuracy) {
  return 100 - accuracy;
}

std::string seeds(std::size_t n) {
  return fmt::format("{} seed{}", n, n == 1 ? "" : "s");
}

Line mean_line(const std::vector<Trace>& traces, std::size_t style, const std::string& arm, Value value,
               const char* what) {
  Line line;
  line.style = style;
  line.band = traces.size() > 1;
  line.title =
      traces.size() > 1 ? fmt::format("{}: mean over {}", arm, seeds(traces.size())) : arm + ": one seed";
  for (const BandPoint& p : band_over(traces)) {
    const std::string range = p.seeds > 1 ? fmt::format(" ({} seeds, {:.2f} to {:.2f})", p.seeds,
                                                        std::min(value(p.low), value(p.high)),
                                                        std::max(value(p.low), value(p.high)))
                                          : "";
    line.vertices.push_back(
        {static_cast<double>(p.step), value(p.mean), value(p.low), value(p.high),
         fmt::format("{}, step {}: {} {:.2f} %{}", arm, with_thousands(static_cast<double>(p.step)), what,
                     value(p.mean), range)});
  }
  return line;
}

Line diverged_line(const Trace& trace, const std::string& arm, std::size_t style, Value value,
                   const char* what) {
  Line line;
  line.style = style;
  line.stops_short = true;
  line.title = fmt::format("{}, seed {}: diverged", arm, trace.seed);
  for (const Point& p : trace.points) {
    const double y = value(p.accuracy);
    line.vertices.push_back({static_cast<double>(p.step), y, y, y,
                             fmt::format("{}, seed {}, step {}: {} {:.2f} %", arm, trace.seed,
                                         with_thousands(static_cast<double>(p.step)), what, y)});
  }
  return line;
}

std::vector<Line> lines(const Result& result, const Figure& figure, std::size_t half, Value value,
                        const char* what) {
  std::vector<Line> out;
  const auto smooth = [&](const auto& points) { return smoothed(points, half); };
  for (std::size_t i = 0; i < figure.arms.size(); ++i) {
    const std::string& arm = result.arms[i].name;
    if (!figure.arms[i].counted.empty()) {
      out.push_back(mean_line(mapped(figure.arms[i].counted, smooth), i, arm, value, what));
    }
    for (const Trace& trace : figure.arms[i].diverged)
      out.push_back(diverged_line(trace, arm, i, value, what));
  }
  return out;
}

Panel accuracy_panel(const Result& result, const Figure& figure) {
  Panel panel;
  panel.x = linear_axis(0, static_cast<double>(figure.last_step), 9);
  panel.x_title = "step";
  panel.y_title = "training accuracy (%)";
  // Down to a round number below what is to be seen, at least the last percent.
  const double span = std::max(100 - figure.lowest, 0.5);
  const double tick = round_up(span / 6);
  const double low =
      std::max(0.0, 100 - tick * static_cast<double>(static_cast<int>(span / tick - 1e-9) + 1));
  panel.y = linear_axis(low, 100, 7);
  panel.title =
      low > 0 ? fmt::format("Training accuracy, from {} % up", tick_label(low)) : "Training accuracy";
  panel.lines = lines(result, figure, 0, accuracy_itself, "accuracy");
  return panel;
}

/// A logarithmic axis from the least error to `most`. No error at all has no place on it; such points lie at
/// its lower edge. No finer than a thousandth percent.
void fit_errors(Panel& panel, double most) {
  double least = std::numeric_limits<double>::infinity();
  for (const Line& line : panel.lines) {
    for (const Vertex& v : line.vertices) {
      if (v.y > 0) least = std::min(least, v.y);
    }
  }
  panel.y = log_axis(std::clamp(least, 0.001, most), most);
  for (Line& line : panel.lines) {
    for (Vertex& v : line.vertices) {
      for (double* value : {&v.y, &v.low, &v.high}) *value = std::max(*value, panel.y.low);
    }
  }
}

Panel error_panel(const Result& result, const Figure& figure, std::size_t half) {
  Panel panel;
  panel.x = linear_axis(0, static_cast<double>(figure.last_step), 9);
  panel.x_title = "step";
  panel.y_title = "training error (%), log scale";
  panel.title = "The same as error (100 − accuracy), on a logarithmic scale";
  panel.lines = lines(result, figure, half, error_of, "error");
  fit_errors(panel, std::max(100 - figure.lowest, 0.01));
  return panel;
}

/// Validation errors, of which there are far fewer: drawn as they are.
Panel validation_panel(const Result& result, const std::vector<ArmTraces>& validations,
                       const Figure& figure) {
  Figure points{validations};
  Panel panel;
  panel.x_title = "step";
  panel.y_title = "validation error (%), log scale";
  panel.title = "Validation error, with running statistics where the norm has them";
  panel.lines = lines(result, points, 0, error_of, "validation error");
  double most = 0.01;
  auto last_step = static_cast<double>(figure.last_step);
  for (Line& line : panel.lines) {
    line.dots = true;
    for (const Vertex& v : line.vertices) {
      most = std::max(most, v.y);
      last_step = std::max(last_step, v.x);
    }
  }
  panel.x = linear_axis(0, last_step, 9);
  fit_errors(panel, most);
  return panel;
}

std::string explanation(const std::vector<ArmTraces>& arms, const Figure& figure) {
  std::vector<std::string> parts;
  const bool band =
      std::any_of(arms.begin(), arms.end(), [](const ArmTraces& a) { return a.counted.size() > 1; });
  const bool cross =
      std::any_of(arms.begin(), arms.end(), [](const ArmTraces& a) { return !a.diverged.empty(); });
  parts.emplace_back(band ? "line: mean over seeds; band: lowest to highest seed" : "one run an arm");
  if (cross) parts.emplace_back("thin line ending in ×: a run that diverged");
  std::size_t absent = 0;
  for (const ArmTraces& arm : arms) absent += arm.absent.size();
  if (absent > 0)
    parts.push_back(fmt::format("{} finished run{} left no step behind", absent, absent == 1 ? "" : "s"));
  if (figure.width > 0) {
    parts.push_back(
        fmt::format("each point: mean over {} steps", with_thousands(static_cast<double>(figure.width))));
  }
  return join(parts, "; ");
}

std::vector<LegendEntry> legend(const Result& result, const std::vector<ArmTraces>& traces) {
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const bool none = traces[i].counted.empty() && traces[i].diverged.empty();
    const bool lost = traces[i].counted.empty() && !none;
    entries.push_back({i, result.arms[i].name + (none ? " (no curve)" : lost ? " (all diverged)" : "")});
  }
  return entries;
}

std::string svg_label(const Result& result) {
  return "Training accuracy against step: " + title(result);
}

}  // namespace

std::string curves_svg(const Result& result, const std::vector<ArmTraces>& traces,
                       const std::vector<ArmTraces>& validations) {
  const Figure figure = prepare(traces);
  if (figure.most_points == 0) {
    return wrap_svg(
        svg_label(result), 80,
        draw_text(Layout::kWidth / 2, 44, "label", "middle",
                  "No training curve: no run that can be shown left a step in its metrics.jsonl."));
  }
  double y = 14;
  std::string body = draw_legend(legend(result, traces), y);
  body += draw_text(Layout::kLeft, y + 14, "note", "start", explanation(traces, figure));
  Panel top = accuracy_panel(result, figure);
  top.top = y + 58;
  const std::size_t half = figure.most_points / 40;
  Panel below = error_panel(result, figure, half);
  below.top = top.top + Layout::kPanelHeight + 94;
  if (half > 0) below.title += fmt::format("; moving mean over {} points", 2 * half + 1);
  body += draw_panel(top, 0) + draw_panel(below, 1);
  double end = below.top + Layout::kPanelHeight + 54;
  std::size_t most_validations = 0;
  for_each_trace(validations, [&](const Trace& trace) {
    most_validations = std::max(most_validations, trace.points.size());
  });
  if (most_validations > 1) {
    Panel last = validation_panel(result, validations, figure);
    last.top = below.top + Layout::kPanelHeight + 94;
    body += draw_panel(last, 2);
    end = last.top + Layout::kPanelHeight + 54;
  }
  return wrap_svg(svg_label(result), end, body);
}

}  // namespace refnorm::report
