#include <algorithm>
#include <cctype>
#include <vector>

#include <fmt/format.h>

#include <refnorm/report/detection_table.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/statistics.h>

namespace refnorm::report {
namespace {

bool same_name(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string mean_and_half(const Summary& summary) {
  if (!summary.ci95) return two_decimals(summary.mean);
  return fmt::format("{} ± {}", two_decimals(summary.mean),
                     two_decimals((summary.ci95->high - summary.ci95->low) / 2));
}

const NamedValues* figures_of(const Result& result) {
  for (const Arm& arm : result.arms) {
    for (const Run& run : arm.runs) {
      if (!run.detection.empty()) return &run.detection;
    }
  }
  return nullptr;
}

}  // namespace

std::optional<std::string> detection_figure(const Arm& arm, const std::string& name) {
  std::vector<double> values;
  bool known = false;
  for (const Run& run : arm.runs) {
    for (const auto& [figure, value] : run.detection) {
      if (!same_name(figure, name)) continue;
      known = true;
      if (value) values.push_back(*value);
    }
  }
  if (!known) return std::nullopt;
  return mean_and_half(summarize(values));
}

Table detection_table(const Result& result) {
  Table table;
  const NamedValues* figures = figures_of(result);
  if (figures == nullptr) return table;
  table.head = {"arm", "norm", "n"};
  table.text_columns = 2;
  for (const auto& [figure, value] : *figures) table.head.push_back(figure);
  for (const Arm& arm : result.arms) {
    table.rows.push_back({arm.name, arm.norm, fmt::format("{}", arm.test_error.n)});
    for (const auto& [figure, value] : *figures)
      table.rows.back().push_back(detection_figure(arm, figure).value_or("–"));
  }
  return table;
}

}  // namespace refnorm::report
