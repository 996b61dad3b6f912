#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <refnorm/base/file.h>
#include <refnorm/report/gradients.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/metrics.h>
#include <refnorm/report/plot.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

constexpr std::size_t kPanels = 6;
constexpr std::size_t kPoints = 60;

/// Mean, least and most of an arm's runs.
struct Spread {
  double sum = 0, low = 0, high = 0;
  std::size_t runs = 0;
  void add(double value) {
    low = runs == 0 ? value : std::min(low, value);
    high = runs == 0 ? value : std::max(high, value);
    sum += value;
    ++runs;
  }
};

/// Means over so many steps that a line has kPoints vertices at most.
std::map<std::uint64_t, double> thinned(const std::map<std::uint64_t, double>& norms) {
  const std::size_t width = (norms.size() + kPoints - 1) / kPoints;
  std::map<std::uint64_t, double> means;
  double sum = 0;
  std::size_t count = 0, seen = 0;
  for (const auto& [step, norm] : norms) {
    sum += norm;
    ++count;
    if (++seen != norms.size() && count < width) continue;
    means[step] = sum / static_cast<double>(count);
    sum = 0;
    count = 0;
  }
  return means;
}

Line line_of(const std::string& layer, const std::string& arm, std::size_t style,
             const std::vector<GradientTrace>& traces) {
  std::map<std::uint64_t, Spread> by_step;
  for (const GradientTrace& trace : traces) {
    for (const auto& [step, norm] : thinned(trace.norms.at(layer))) by_step[step].add(norm);
  }
  Line line;
  line.style = style;
  line.band = traces.size() > 1;
  line.title = fmt::format("{}, {}", arm, layer);
  for (const auto& [step, spread] : by_step) {
    const double mean = spread.sum / static_cast<double>(spread.runs);
    line.vertices.push_back({static_cast<double>(step), mean, spread.low, spread.high,
                             fmt::format("{}, {}, step {}: {:.3g} ({:.3g} to {:.3g}, {})", arm, layer,
                                         with_thousands(static_cast<double>(step)), mean, spread.low,
                                         spread.high, counted(spread.runs, "run"))});
  }
  return line;
}

/// Those that every run has, in the network's order, at most kPanels of them and the first and last among
/// them.
std::vector<std::string> shown_layers(const std::vector<std::vector<GradientTrace>>& arms) {
  std::vector<std::string> common;
  for (const auto& traces : arms) {
    for (const GradientTrace& trace : traces) {
      if (common.empty()) common = trace.layers;
      std::erase_if(common, [&](const std::string& layer) { return !trace.norms.contains(layer); });
    }
  }
  if (common.size() <= kPanels) return common;
  std::vector<std::string> spread;
  for (std::size_t i = 0; i < kPanels; ++i) spread.push_back(common[i * (common.size() - 1) / (kPanels - 1)]);
  return spread;
}

/// What is drawn of the step lines: an object of numbers by name.
struct Series {
  const char* key;
  const char* y_title;
  const char* note;
  const char* label;
};

constexpr Series kGradients{
    "gradient_norm", "gradient norm, log scale",
    "norm of the gradient of a layer's parameters at the logged steps; line: mean over runs, "
    "band: least to most",
    "Gradient norm by layer: "};
constexpr Series kLosses{
    "losses", "loss, log scale",
    "mean over the steps since the line before; line: mean over runs, band: least to most",
    "Losses in training: "};

Panel panel_of(const std::string& layer, const Result& result, const char* y_title,
               const std::vector<std::vector<GradientTrace>>& arms) {
  Panel panel;
  panel.title = layer;
  panel.x_title = "step";
  panel.y_title = y_title;
  double last = 1, least = INFINITY, most = 0;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (arms[i].empty()) continue;
    panel.lines.push_back(line_of(layer, result.arms[i].name, i, arms[i]));
    for (const Vertex& v : panel.lines.back().vertices) {
      last = std::max(last, v.x);
      most = std::max(most, v.high);
      if (v.low > 0) least = std::min(least, v.low);
    }
  }
  panel.x = linear_axis(0, last, 9);
  most = std::max(most, 1e-12);
  panel.y = log_axis(std::clamp(least, most * 1e-6, most), most);
  for (Line& line : panel.lines) {
    for (Vertex& v : line.vertices) {
      for (double* value : {&v.y, &v.low, &v.high}) *value = std::max(*value, panel.y.low);
    }
  }
  return panel;
}

void add_line(const Field& line, const char* key, GradientTrace& trace) {
  if (line.at("kind").text() != "step") return;
  const auto norms = line.find(key);
  if (!norms) return;
  for (const auto& [layer, unused] : norms->object().items()) {
    const auto norm = norms->at(layer).number_or_null(0, 1e300);
    if (!norm) continue;
    if (!trace.norms.contains(layer)) trace.layers.push_back(layer);
    trace.norms[layer][line.at("step").count()] = *norm;
  }
}

GradientTrace parse_series(std::string_view text, const std::string& origin, const char* key) {
  GradientTrace trace;
  for_each_line(text, origin, [&](const Field& line) { add_line(line, key, trace); });
  return trace;
}

std::string series_svg(const std::filesystem::path& folder, const Result& result, const Series& series) {
  std::vector<std::vector<GradientTrace>> arms;
  for (const Arm& arm : result.arms) {
    auto& traces = arms.emplace_back();
    for (const Run& run : arm.runs) {
      const std::filesystem::path file = folder / run.folder / "metrics.jsonl";
      if (!run.counts() || !std::filesystem::exists(file)) continue;
      GradientTrace trace = parse_series(read_file(file), file.string(), series.key);
      if (!trace.layers.empty()) traces.push_back(std::move(trace));
    }
  }
  const std::vector<std::string> layers = shown_layers(arms);
  if (layers.empty()) return {};
  std::vector<LegendEntry> entries;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (!arms[i].empty()) entries.push_back({i, result.arms[i].name});
  }
  double y = 14;
  std::string body = draw_legend(entries, y);
  body += draw_text(Layout::kLeft, y + 14, "note", "start", series.note);
  double top = y + 58;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    Panel panel = panel_of(layers[i], result, series.y_title, arms);
    panel.top = top;
    top += Layout::kPanelHeight + 94;
    body += draw_panel(panel, i);
  }
  return wrap_svg(series.label + title(result), top - 40, body);
}

}  // namespace

GradientTrace parse_gradients(std::string_view text, const std::string& origin) {
  return parse_series(text, origin, kGradients.key);
}

std::string gradients_svg(const std::filesystem::path& folder, const Result& result) {
  return series_svg(folder, result, kGradients);
}

std::string losses_svg(const std::filesystem::path& folder, const Result& result) {
  return series_svg(folder, result, kLosses);
}

}  // namespace refnorm::report
