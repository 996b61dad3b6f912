#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <refnorm/report/markup.h>
#include <refnorm/report/paired_words.h>
#include <refnorm/report/plot.h>
#include <refnorm/report/sweep_figure.h>
#include <refnorm/report/sweep_table.h>

namespace refnorm::report {
namespace {

constexpr double kRow = 30;
constexpr double kGap = 28;
constexpr double kFullRatio = 4;    // the ratio with the full colour
constexpr double kOpacity = 0.65;   // of the full colour: the text over it stays legible, light or dark
constexpr double kCharacter = 6.9;  // a column of 13 px text, generously

/// One cell: an arm at one value of each of the first two axes, over all settings there.
struct Cell {
  std::size_t settings = 0;  ///< with a ratio
  double log_ratio = 0;      ///< mean over them
  bool told_apart = false;   ///< the one setting here is told apart from the baseline
  bool nothing = false;      ///< settings there are, but no seed with which both finished
  std::vector<std::string> titles;
};

struct Map {
  std::vector<std::string> rows, columns;  ///< the axes' values; one nameless row for a single axis
  double label = 0, cell = 0;              ///< widths
  double width() const { return label + cell * static_cast<double>(columns.size()); }
  double height() const { return 48 + kRow * static_cast<double>(rows.size()); }
};

std::optional<double> log_ratio(const Arm& baseline, const Arm& arm) {
  const Pairs pairs = pair_by_seed(baseline, arm);
  double ours = 0;
  double theirs = 0;
  for (std::size_t i = 0; i < pairs.first.size(); ++i) {
    theirs += pairs.first[i];
    ours += pairs.second[i];
  }
  if (!(ours > 0 && theirs > 0)) return std::nullopt;
  return std::log(ours / theirs);
}

Map map_of(const Sweep& sweep) {
  Map map;
  if (sweep.axes.size() > 1) {
    map.rows = sweep.axes[0].values;
    map.columns = sweep.axes[1].values;
  } else {
    map.rows = {""};
    map.columns = sweep.axes[0].values;
  }
  std::size_t longest = 0;
  std::size_t widest = 0;
  for (std::string& row : map.rows) longest = std::max(longest, display_width(row = shortened(row, 18)));
  for (std::string& column : map.columns)
    widest = std::max(widest, display_width(column = shortened(column, 18)));
  map.label = longest > 0 ? kCharacter * static_cast<double>(longest) + 8 : 0;
  const double room = Layout::kWidth - 24 - map.label;
  map.cell = std::min(std::max(58.0, kCharacter * static_cast<double>(widest) + 6),
                      room / static_cast<double>(map.columns.size()));
  return map;
}

Cell cell_of(const Sweep& sweep, const SweepAnswer& answer, std::size_t arm, std::size_t row,
             std::size_t column) {
  Cell cell;
  std::size_t here = 0;
  for (std::size_t i = 0; i < sweep.settings.size(); ++i) {
    const Setting& setting = sweep.settings[i];
    const bool two = sweep.axes.size() > 1;
    if (setting.places[two ? 1 : 0] != column || (two && setting.places[0] != row)) continue;
    ++here;
    const AgainstBaseline& against = answer.settings[i].against[arm];
    const Arm& baseline = setting.arms[answer.baseline];
    cell.told_apart = against.verdict == Verdict::kBetter || against.verdict == Verdict::kWorse;
    cell.titles.push_back(
        fmt::format("{}, {}: {} % against {}'s {} %; difference {} over {} pairs, {} after correction: {}",
                    setting.arms[arm].name, setting_words(sweep, setting),
                    two_decimals(setting.arms[arm].test_error.mean), baseline.name,
                    two_decimals(baseline.test_error.mean), signed_points(against.difference.mean),
                    against.difference.n, p_text(against.corrected), verdict_words(against.verdict)));
    if (const auto ratio = log_ratio(baseline, setting.arms[arm])) {
      cell.log_ratio += *ratio;
      ++cell.settings;
    }
  }
  if (cell.settings > 0) cell.log_ratio /= static_cast<double>(cell.settings);
  cell.told_apart = cell.told_apart && here == 1;
  cell.nothing = here > 0 && cell.settings == 0;
  return cell;
}

std::string ratio_text(double ratio) {
  if (ratio < 0.1) return fmt::format("{:.2g}", ratio);
  return ratio < 9.995 ? fmt::format("{:.2f}", ratio) : with_thousands(ratio);
}

std::string draw_cell(const Cell& cell, double x, double y, double width) {
  if (cell.titles.empty()) return {};
  std::string titles;
  for (const std::string& title : cell.titles) titles += (titles.empty() ? "" : "; ") + title;
  const double depth = std::clamp(cell.log_ratio / std::log(kFullRatio), -1.0, 1.0);
  const bool lower = depth < 0;
  std::string out = fmt::format(
      "<g><title>{}</title>\n<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
      "fill=\"{}\" fill-opacity=\"{:.2f}\"/>\n"
      "<rect class=\"grid\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"none\" "
      "stroke=\"#d9dee3\"/>\n",
      escape_markup(titles), lower ? "fill0" : "fill1", x, y, width, kRow, lower ? "#0072b2" : "#d55e00",
      kOpacity * std::abs(depth), x, y, width, kRow);
  const std::string text = cell.nothing ? "×" : ratio_text(std::exp(cell.log_ratio));
  out += fmt::format(
      "<text class=\"ink\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" font-size=\"13\"{} "
      "fill=\"#24292f\">{}</text>\n</g>\n",
      x + width / 2, y + kRow / 2 + 4.5,
      cell.told_apart ? " font-weight=\"700\" text-decoration=\"underline\"" : "", text);
  return out;
}

std::string draw_map(const Sweep& sweep, const SweepAnswer& answer, const Map& map, std::size_t arm,
                     double left, double top) {
  const auto longest = static_cast<std::size_t>(std::max(8.0, map.width() / 8.4));
  std::string out =
      draw_text(left, top + 16, "title", "start", shortened(one_line(sweep.arms()[arm].name), longest));
  for (std::size_t column = 0; column < map.columns.size(); ++column) {
    const double x = left + map.label + map.cell * static_cast<double>(column);
    out += draw_text(x + map.cell / 2, top + 37, "label", "middle", map.columns[column]);
  }
  for (std::size_t row = 0; row < map.rows.size(); ++row) {
    const double y = top + 44 + kRow * static_cast<double>(row);
    out += draw_text(left + map.label - 8, y + kRow / 2 + 4.5, "label", "end", map.rows[row]);
    for (std::size_t column = 0; column < map.columns.size(); ++column) {
      const double x = left + map.label + map.cell * static_cast<double>(column);
      out += draw_cell(cell_of(sweep, answer, arm, row, column), x, y, map.cell);
    }
  }
  return out;
}

std::string axes_words(const Sweep& sweep) {
  const std::string across = sweep.axes[sweep.axes.size() > 1 ? 1 : 0].key;
  std::string words = sweep.axes.size() > 1 ? fmt::format("rows: {}; columns: {}", sweep.axes[0].key, across)
                                            : fmt::format("columns: {}", across);
  if (sweep.axes.size() > 2) words += "; a cell is the geometric mean over the other axes";
  return words;
}

}  // namespace

std::string heat_svg(const Sweep& sweep, const SweepAnswer& answer) {
  if (sweep.settings.size() < 2 || sweep.arms().size() < 2 || sweep.axes.empty()) return {};
  const Map map = map_of(sweep);
  double left = 12;
  double top = 34;
  std::string body = draw_text(left, 18, "note", "start", axes_words(sweep));
  for (std::size_t arm = 0; arm < sweep.arms().size(); ++arm) {
    if (arm == answer.baseline) continue;
    if (left > 12 && left + map.width() > Layout::kWidth - 12) {
      left = 12;
      top += map.height() + 16;
    }
    body += draw_map(sweep, answer, map, arm, left, top);
    left += map.width() + kGap;
  }
  return wrap_svg(fmt::format("Each arm's error as a multiple of {}'s: {}",
                              sweep.arms()[answer.baseline].name, title(sweep)),
                  top + map.height() + 12, body);
}

}  // namespace refnorm::report
