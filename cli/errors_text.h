#pragma once

#include <string>

#include <refnorm/base/json.h>

namespace refnorm::cli {

/// The test errors of a run's or an evaluation's result, a line each.
std::string errors_in_words(const Json& result);

}  // namespace refnorm::cli
