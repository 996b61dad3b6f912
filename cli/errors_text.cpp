#include "errors_text.h"

#include <fmt/format.h>

namespace refnorm::cli {

namespace {

std::string figures_in_words(const Json& result) {
  std::string out = "In percent:";
  for (const auto& [name, percent] : result.at("detection").items())
    out +=
        fmt::format("  {} {}", name, percent.is_null() ? "-" : fmt::format("{:.2f}", percent.get<double>()));
  out += "\n";
  for (const auto& [mode, error] : result.at("test_error_pct_by_statistics").items()) {
    if (!error.is_null())
      out += fmt::format("box AP with {} statistics: {:.2f} %\n", mode, 100 - error.get<double>());
  }
  return out;
}

}  // namespace

std::string errors_in_words(const Json& result) {
  if (!result.contains("test_error_pct_by_statistics")) {  // the recipe has run.test = false
    if (!result.contains("validation_error_pct")) return "The test set was not read\n";
    return fmt::format("Validation error: {:.2f} %; the test set was not read\n",
                       result["validation_error_pct"].get<double>());
  }
  if (result.contains("detection")) return figures_in_words(result);
  const Json& by_statistics = result.at("test_error_pct_by_statistics");
  std::string out;
  for (const auto& [mode, error] : by_statistics.items()) {
    if (!error.is_null())
      out += fmt::format("Test error with {} statistics: {:.2f} %\n", mode, error.get<double>());
  }
  if (out.empty()) out = fmt::format("Test error: {:.2f} %\n", result.at("test_error_pct").get<double>());
  if (result.contains("unreadable") && !result.at("unreadable").at("files").empty()) {
    const Json& unreadable = result.at("unreadable");
    out += fmt::format(
        "{} pictures cannot be read: {} of train/, in whose place others stood, and {} of val/, left out of "
        "the "
        "test error\n",
        unreadable.at("files").size(), unreadable.at("train").get<std::int64_t>(),
        unreadable.at("val").get<std::int64_t>());
  }
  return out;
}

}  // namespace refnorm::cli
