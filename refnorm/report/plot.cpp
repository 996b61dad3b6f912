#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <refnorm/report/markup.h>
#include <refnorm/report/plot.h>

namespace refnorm::report {
namespace {

struct Colour {
  const char* light;
  const char* dark;
};

// After Okabe and Ito, darkened or lightened to at least 3:1 against white and against the dark background.
constexpr std::array<Colour, 8> kColours{{{"#0072b2", "#56b4e9"},
                                          {"#d55e00", "#ff8c42"},
                                          {"#009264", "#2fcb9a"},
                                          {"#b0508a", "#e79bc9"},
                                          {"#333333", "#d0d0d0"},
                                          {"#9a7400", "#f0c542"},
                                          {"#7a4fd0", "#b59cff"},
                                          {"#8a1c1c", "#ff7b7b"}}};
// One fewer than the colours, so that arms beyond the eighth still differ from all before.
constexpr std::array<const char*, 7> kDashes{
    "none", "9 4", "2.5 3", "11 3 2.5 3", "5 2.5", "14 3 2.5 3 2.5 3", "18 5"};
constexpr const char* kInk = "#24292f";
constexpr const char* kFaintInk = "#59636e";

const char* colour(std::size_t style) {
  return kColours.at(style % kColours.size()).light;
}
const char* dashes(std::size_t style) {
  return kDashes.at(style % kDashes.size());
}
std::size_t colour_class(std::size_t style) {
  return style % kColours.size();
}

/// Panel units to picture units.
class Frame {
 public:
  explicit Frame(const Panel& panel) : panel_(panel) {}

  double left() const { return Layout::kLeft; }
  double right() const { return Layout::kWidth - Layout::kRight; }
  double top() const { return panel_.top; }
  double bottom() const { return panel_.top + Layout::kPanelHeight; }
  double x(double value) const { return left() + panel_.x.place(value) * (right() - left()); }
  // Far beyond the frame no renderer is exact; the clip path hides what lies outside anyway.
  double y(double value) const {
    return bottom() - std::clamp(panel_.y.place(value), -2.0, 3.0) * (bottom() - top());
  }
  double y_inside(double value) const { return bottom() - panel_.y.clamped(value) * (bottom() - top()); }

 private:
  const Panel& panel_;
};

std::string title_element(const std::string& text) {
  return text.empty() ? "" : fmt::format("<title>{}</title>", escape_markup(text));
}

std::string draw_axes(const Panel& panel, const Frame& frame) {
  std::string out;
  const auto rule = [&](double x1, double y1, double x2, double y2) {
    out += fmt::format(
        "<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#d9dee3\"/>\n",
        x1, y1, x2, y2);
  };
  for (const double tick : panel.y.ticks) {
    const double y = frame.y(tick);
    rule(frame.left(), y, frame.right(), y);
    out += draw_text(frame.left() - 8, y + 4.5, "label", "end", tick_label(tick));
  }
  for (const double tick : panel.x.ticks) {
    const double x = frame.x(tick);
    rule(x, frame.top(), x, frame.bottom());
    out += draw_text(x, frame.bottom() + 19, "label", "middle", tick_label(tick));
  }
  out += fmt::format(
      "<path class=\"axis\" d=\"M{0:.1f} {1:.1f}V{2:.1f}H{3:.1f}\" fill=\"none\" stroke=\"{4}\"/>\n",
      frame.left(), frame.top(), frame.bottom(), frame.right(), kFaintInk);
  out += draw_text(frame.left(), frame.top() - 14, "title", "start", panel.title);
  out += draw_text((frame.left() + frame.right()) / 2, frame.bottom() + 38, "label", "middle", panel.x_title);
  const double middle = (frame.top() + frame.bottom()) / 2;
  out += fmt::format(
      "<text class=\"faint\" x=\"16\" y=\"{0:.1f}\" transform=\"rotate(-90 16 {0:.1f})\" "
      "text-anchor=\"middle\" "
      "font-size=\"13\" fill=\"{1}\">{2}</text>\n",
      middle, kFaintInk, escape_markup(panel.y_title));
  return out;
}

std::string draw_band(const Line& line, const Frame& frame) {
  std::string path;
  for (const Vertex& v : line.vertices) path += fmt::format("{:.1f},{:.1f} ", frame.x(v.x), frame.y(v.high));
  for (auto v = line.vertices.rbegin(); v != line.vertices.rend(); ++v) {
    path += fmt::format("{:.1f},{:.1f} ", frame.x(v->x), frame.y(v->low));
  }
  path.pop_back();
  return fmt::format(
      "<polygon class=\"fill{}\" data-arm=\"{}\" points=\"{}\" fill=\"{}\" "
      "fill-opacity=\"0.16\">{}</polygon>\n",
      colour_class(line.style), line.style, path, colour(line.style),
      title_element(line.title + ", " + line.band_title));
}

std::string draw_line(const Line& line, const Frame& frame) {
  std::string path;
  for (const Vertex& v : line.vertices) path += fmt::format("{:.1f},{:.1f} ", frame.x(v.x), frame.y(v.y));
  path.pop_back();
  std::string out = fmt::format(
      "<polyline class=\"line{}\" data-arm=\"{}\" points=\"{}\" fill=\"none\" stroke=\"{}\" "
      "stroke-width=\"{}\" "
      "stroke-dasharray=\"{}\" stroke-linejoin=\"round\">{}</polyline>\n",
      colour_class(line.style), line.style, path, colour(line.style), line.stops_short ? "1.1" : "2",
      dashes(line.style), title_element(line.title));
  const bool dots = (line.dots || line.vertices.size() == 1) && !line.stops_short;
  for (std::size_t i = 0; dots && i < line.vertices.size(); ++i) {
    out += fmt::format(
        "<circle class=\"fill{}\" data-arm=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>\n",
        colour_class(line.style), line.style, frame.x(line.vertices[i].x), frame.y(line.vertices[i].y),
        colour(line.style));
  }
  return out;
}

// At the frame's edge where the last value lies beyond it: a divergence must not be clipped away.
std::string draw_cross(const Line& line, const Frame& frame) {
  const Vertex& end = line.vertices.back();
  const double x = frame.x(end.x);
  const double y = frame.y_inside(end.y);
  return fmt::format(
      "<path class=\"line{0}\" data-arm=\"{5}\" d=\"M{1:.1f} {2:.1f}l10 10m0 -10l-10 10\" stroke=\"{3}\" "
      "stroke-width=\"2.4\" "
      "fill=\"none\" pointer-events=\"bounding-box\">{4}</path>\n",
      colour_class(line.style), x - 5, y - 5, colour(line.style),
      title_element(line.title + (end.title.empty() ? "" : "; " + end.title)), line.style);
}

std::string draw_points(const Line& line, const Frame& frame) {
  constexpr std::size_t kMost = 100;
  const std::size_t every = (line.vertices.size() + kMost - 1) / kMost;
  std::string out;
  for (std::size_t i = (line.vertices.size() - 1) % every; i < line.vertices.size(); i += every) {
    const Vertex& v = line.vertices[i];
    out += fmt::format(
        "<circle data-arm=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" fill=\"transparent\">{}</circle>\n",
        line.style, frame.x(v.x), frame.y(v.y), title_element(v.title));
  }
  return out;
}

}  // namespace

std::string wrap_svg(const std::string& label, double height, const std::string& body) {
  return fmt::format(
             "<svg class=\"refnorm-curves\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" "
             "height=\"{1:.0f}\" "
             "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, "
             "'DejaVu "
             "Sans', sans-serif\" role=\"img\" aria-label=\"{2}\">\n",
             Layout::kWidth, height, escape_markup(label)) +
         plot_style() +
         fmt::format("<rect class=\"ground\" width=\"{:.0f}\" height=\"{:.0f}\" fill=\"#ffffff\"/>\n",
                     Layout::kWidth, height) +
         body + "</svg>\n";
}

std::string plot_style() {
  std::string rules =
      ".refnorm-curves .ground{fill:#161a1f}.refnorm-curves .ink{fill:#e6e9ec}.refnorm-curves "
      ".faint{fill:#a5adb6}"
      ".refnorm-curves .grid{stroke:#333a42}.refnorm-curves .axis{stroke:#a5adb6}";
  for (std::size_t i = 0; i < kColours.size(); ++i) {
    rules += fmt::format(".refnorm-curves .line{0}{{stroke:{1}}}.refnorm-curves .fill{0}{{fill:{1}}}", i,
                         kColours.at(i).dark);
  }
  return fmt::format(
      "<style>.refnorm-curves .dim{{opacity:.14}}.refnorm-curves .entry{{cursor:pointer}}@media screen and "
      "(prefers-color-scheme: dark){{{}}}</style>\n",
      rules);
}

std::string draw_text(double x, double y, const char* kind, const char* anchor, const std::string& text) {
  const bool title = std::string_view(kind) == "title";
  return fmt::format(
      "<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\"{} "
      "fill=\"{}\">{}</text>\n",
      title ? "ink" : "faint", x, y, anchor,
      title                              ? "15"
      : std::string_view(kind) == "note" ? "12"
                                         : "13",
      title ? " font-weight=\"600\"" : "", title ? kInk : kFaintInk, escape_markup(text));
}

std::string draw_panel(const Panel& panel, std::size_t index) {
  const Frame frame(panel);
  std::string out = draw_axes(panel, frame);
  out += fmt::format(
      "<clipPath id=\"refnorm-clip-{}\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
      "height=\"{:.1f}\"/></clipPath>\n",
      index, frame.left(), frame.top() - 2, frame.right() - frame.left() + 2, Layout::kPanelHeight + 4);
  out += fmt::format("<g clip-path=\"url(#refnorm-clip-{})\">\n", index);
  for (const Line& line : panel.lines) {
    if (line.band && line.vertices.size() > 1) out += draw_band(line, frame);
  }
  for (const Line& line : panel.lines) out += draw_line(line, frame);
  for (const Line& line : panel.lines) out += draw_points(line, frame);
  out += "</g>\n";
  for (const Line& line : panel.lines) {
    if (line.stops_short) out += draw_cross(line, frame);
  }
  return out;
}

std::string draw_legend(const std::vector<LegendEntry>& entries, double& top) {
  constexpr double kSample = 44;
  constexpr double kGap = 26;
  constexpr double kRow = 24;
  std::string out;
  double x = Layout::kLeft;
  for (const LegendEntry& entry : entries) {
    const std::string name = shortened(one_line(entry.name), 48);
    // The width of text is the renderer's secret; 7.6 a column is on the generous side for 14 px sans-serif.
    const double width = kSample + 8 + 7.6 * static_cast<double>(display_width(name));
    if (x > Layout::kLeft && x + width > Layout::kWidth - Layout::kRight) {
      x = Layout::kLeft;
      top += kRow;
    }
    out += fmt::format(
        "<g class=\"entry\" data-arm=\"{}\">\n<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{:.0f}\" fill=\"transparent\"/>\n",
        entry.style, x - 4, top, width + 8, kRow);
    out += fmt::format(
        "<line class=\"line{0}\" x1=\"{1:.1f}\" y1=\"{2:.1f}\" x2=\"{3:.1f}\" y2=\"{2:.1f}\" stroke=\"{4}\" "
        "stroke-width=\"2.4\" stroke-dasharray=\"{5}\"/>\n",
        colour_class(entry.style), x, top + 12, x + kSample, colour(entry.style), dashes(entry.style));
    out += fmt::format(
        "<text class=\"ink\" x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"14\" fill=\"{}\">{}</text>\n</g>\n",
        x + kSample + 8, top + 16.5, kInk, escape_markup(name));
    x += width + kGap;
  }
  top += kRow;
  return out;
}

}  // namespace refnorm::report
