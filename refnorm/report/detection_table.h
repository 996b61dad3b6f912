#pragma once

#include <optional>
#include <string>

#include <refnorm/report/result.h>
#include <refnorm/report/table.h>

namespace refnorm::report {

/// The figures of networks that detect objects, such as "box AP" and "mask AP75", each the mean over an arm's
/// runs, with half of the 95 % interval where there are several. No rows where no run has any.
Table detection_table(const Result& result);

/// One arm's figure of that name, whatever its case; nothing where its runs have none.
std::optional<std::string> detection_figure(const Arm& arm, const std::string& name);

}  // namespace refnorm::report
