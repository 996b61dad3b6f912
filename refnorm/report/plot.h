#pragma once

#include <string>
#include <vector>

#include <refnorm/report/axis.h>

namespace refnorm::report {

/// A vertex of a line and of the band around it, in the axes' units.
struct Vertex {
  double x = 0, y = 0, low = 0, high = 0;
  std::string title;  ///< what the pointer shows here
};

/// One line of a panel.
struct Line {
  std::size_t style = 0;  ///< colour and dash pattern, by arm
  std::string title;
  std::vector<Vertex> vertices;
  bool band = false;  ///< whether to fill between low and high
  std::string band_title = "band: lowest to highest seed";
  bool dots = false;         ///< whether to draw the vertices
  bool stops_short = false;  ///< thin, ending in a cross: a run that diverged
};

struct Panel {
  std::string title, x_title, y_title;
  Axis x, y;
  std::vector<Line> lines;
  double top = 0;  ///< of the plotting area in the picture
};

struct LegendEntry {
  std::size_t style = 0;
  std::string name;
};

/// The picture's measures, in its own units (pixels at its natural size).
struct Layout {
  static constexpr double kWidth = 920, kLeft = 80, kRight = 36, kPanelHeight = 290;
};

/// The whole picture around its body; `label` says in words what it shows.
std::string wrap_svg(const std::string& label, double height, const std::string& body);

/// The <style> element: the light colours stand on the marks themselves, so that it reads everywhere; this
/// adds the dark ones where the reader's screen is dark.
std::string plot_style();

/// Draws frame, grid, ticks, titles, bands, lines, crosses and the points that the pointer finds.
std::string draw_panel(const Panel& panel, std::size_t index);

/// Marks of an arm and its legend entry carry data-arm, by which the page's script finds them.
/// Draws the entries in rows from y = `top` on; adds the height they take to `top`.
std::string draw_legend(const std::vector<LegendEntry>& entries, double& top);

/// A line of text. `kind` is "title", "label" or "note"; `anchor` is start, middle or end.
std::string draw_text(double x, double y, const char* kind, const char* anchor, const std::string& text);

}  // namespace refnorm::report
