#include "errors_text.h"

#include <fmt/format.h>

namespace refnorm::cli {

std::string errors_in_words(const Json& result) {
  const Json& by_statistics = result.at("test_error_pct_by_statistics");
  std::string out;
  for (const auto& [mode, error] : by_statistics.items()) {
    if (!error.is_null())
      out += fmt::format("Test error with {} statistics: {:.2f} %\n", mode, error.get<double>());
  }
  if (out.empty()) out = fmt::format("Test error: {:.2f} %\n", result.at("test_error_pct").get<double>());
  return out;
}

}  // namespace refnorm::cli
