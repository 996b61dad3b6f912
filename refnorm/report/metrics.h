#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <refnorm/report/field.h>

namespace refnorm::report {

/// Training accuracy over the steps since the point before, or that on the validation samples at a step.
struct Point {
  std::uint64_t step = 0;
  double accuracy = 0;  ///< percent
};

/// body(line) for each line of a run's metrics.jsonl. A last line that the writer did not finish is ignored;
/// anything else that is malformed is a UserError naming `origin` and the line.
void for_each_line(std::string_view text, const std::string& origin,
                   const std::function<void(const Field& line)>& body);

/// The step lines of a run's metrics.jsonl, in order of steps. A last line that the writer did not finish is
/// ignored; anything else that is malformed is a UserError naming `origin` and the line. Where a run was
/// resumed and steps stand twice, the later line holds.
std::vector<Point> parse_metrics(std::string_view text, const std::string& origin);

/// The same of the lines with a validation error: those of epochs' ends and those between.
std::vector<Point> parse_validations(std::string_view text, const std::string& origin);

}  // namespace refnorm::report
