#include <algorithm>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return right ? space + text : text + space;
}

}  // namespace

std::string plain_value(const Json& value) {
  if (value.is_null()) return "–";
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string with_interval(const Summary& summary) {
  if (!summary.ci95) return two_decimals(summary.mean);
  const double half = (summary.ci95->high - summary.ci95->low) / 2;
  return fmt::format("{} ± {} [{}, {}]", two_decimals(summary.mean), two_decimals(half),
                     two_decimals(summary.ci95->low), two_decimals(summary.ci95->high));
}

std::string title(const Experiment& experiment) {
  if (experiment.note.empty()) return experiment.recipe;
  return fmt::format("{} ({})", experiment.recipe, experiment.note);
}

std::string setup_line(const Json& setup) {
  std::vector<std::string> parts;
  for (const auto& member : setup.items()) {
    if (member.value().is_structured() || member.value().is_null()) continue;
    std::string words = member.key();
    std::replace(words.begin(), words.end(), '_', ' ');
    parts.push_back(fmt::format("{} {}", words, plain_value(member.value())));
  }
  return join(parts, " · ");
}

std::string markdown_rows(const Table& table, const StrongCell& strong) {
  std::string out;
  constexpr std::size_t kHead = std::size_t(-1);
  const auto line = [&](const std::vector<std::string>& cells, std::size_t row) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string cell = escape_markdown(cells[i]);
      out += row != kHead && strong && strong(row, i) ? fmt::format("| **{}** ", cell)
                                                      : fmt::format("| {} ", cell);
    }
    out += "|\n";
  };
  line(table.head, kHead);
  for (std::size_t i = 0; i < table.head.size(); ++i) out += i < table.text_columns ? "|:--" : "|--:";
  out += "|\n";
  for (std::size_t i = 0; i < table.rows.size(); ++i) line(table.rows[i], i);
  return out;
}

std::string plain_rows(const Table& table) {
  std::vector<std::vector<std::string>> lines{table.head};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<std::size_t> widths(table.head.size(), 0);
  for (auto& cells : lines) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      cells[i] = one_line(cells[i]);
      widths[i] = std::max(widths[i], display_width(cells[i]));
    }
  }
  std::string out;
  for (const auto& cells : lines) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      text += (i > 0 ? "  " : "") + padded(cells[i], widths[i], i >= table.text_columns);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string markdown_notes(const std::vector<std::string>& notes) {
  std::string out;
  for (const std::string& note : notes) out += fmt::format("- {}\n", escape_markdown(note));
  return out;
}

}  // namespace refnorm::report
