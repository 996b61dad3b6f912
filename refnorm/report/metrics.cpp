#include <refnorm/base/error.h>
#include <refnorm/report/field.h>
#include <refnorm/report/metrics.h>

namespace refnorm::report {
namespace {

// Where a run was resumed and steps stand twice, the later line holds.
void add_point(const Field& line, double accuracy, std::vector<Point>& points) {
  const std::uint64_t step = line.at("step").count();
  while (!points.empty() && points.back().step >= step) points.pop_back();
  points.push_back({step, accuracy});
}

void add_step(const Field& line, std::vector<Point>& points) {
  if (line.at("kind").text() != "step") return;
  line.at("step").count();
  if (line.find("losses")) return;  // of a network that detects objects
  // A diverged step's accuracy may be no number, which JSON writes as null.
  const auto accuracy = line.at("train_accuracy_pct").percent_or_null();
  if (accuracy) add_point(line, *accuracy, points);
}

void add_validation(const Field& line, std::vector<Point>& points) {
  if (line.at("kind").text() == "step") return;
  const auto error = line.find("validation_error_pct");
  if (error) add_point(line, 100 - error->percent(), points);
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
  for_each_line(text, origin, [&](const Field& line) { add_step(line, points); });
  return points;
}

std::vector<Point> parse_validations(std::string_view text, const std::string& origin) {
  std::vector<Point> points;
  for_each_line(text, origin, [&](const Field& line) { add_validation(line, points); });
  return points;
}

}  // namespace refnorm::report
