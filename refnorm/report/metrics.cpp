#include <refnorm/base/error.h>
#include <refnorm/report/field.h>
#include <refnorm/report/metrics.h>

namespace refnorm::report {
namespace {

void add_line(const Field& line, std::vector<Point>& points) {
  const std::string kind = line.at("kind").text();
  if (kind != "step") return;
  Point point;
  point.step = line.at("step").count();
  // A diverged step's accuracy may be no number, which JSON writes as null.
  const auto accuracy = line.at("train_accuracy_pct").percent_or_null();
  if (!accuracy) return;
  point.accuracy = *accuracy;
  while (!points.empty() && points.back().step >= point.step) points.pop_back();
  points.push_back(point);
}

}  // namespace

void for_each_line(std::string_view text, const std::string& origin,
                   const std::function<void(const Field& line)>& body) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const bool finished = end != std::string_view::npos;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(finished ? end + 1 : text.size());
    const std::string place = fmt::format("{}:{}", origin, ++number);
    // A line is an object, which a cut anywhere leaves without its last brace.
    if (!finished && (line.empty() || line.back() != '}' || !Json::accept(line))) break;
    const Json document = parse_json(line, place);
    body(Field(document, place));
  }
}

std::vector<Point> parse_metrics(std::string_view text, const std::string& origin) {
  std::vector<Point> points;
  for_each_line(text, origin, [&](const Field& line) { add_line(line, points); });
  return points;
}

}  // namespace refnorm::report
