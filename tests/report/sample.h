#pragma once

#include <string>
#include <utility>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/report/result.h>
#include <refnorm/report/statistics.h>

namespace refnorm::testing {

inline Json sample_run(int seed, double error, const std::string& folder) {
  return {{"seed", seed},
          {"folder", folder},
          {"diverged", false},
          {"test_error_pct", error},
          {"test_error_pct_by_statistics", {{"running", error}, {"population", error}, {"batch", nullptr}}},
          {"test_error_pct_by_population_reading", nullptr},
          {"train_error_pct", 0.25},
          {"best", {{"epoch", 9}, {"validation_error_pct", 0.7}}},
          {"steps", 4290},
          {"seconds", 61.0},
          {"images_per_second", 9000.0}};
}

inline Json diverged_run(int seed, const std::string& folder) {
  return {{"seed", seed},
          {"folder", folder},
          {"diverged", true},
          {"diverged_at", {{"step", 17}, {"layer", "conv1"}}},
          {"test_error_pct", nullptr},
          {"steps", 17}};
}

inline Json failed_run(int seed, const std::string& folder) {
  return {{"seed", seed}, {"folder", folder}, {"failed", "out of memory"}};
}

/// An arm whose summary fits its runs.
inline Json arm_of(const std::string& name, const Json& runs) {
  std::vector<double> errors;
  int diverged = 0;
  for (const Json& run : runs) {
    if (run.value("diverged", false)) {
      ++diverged;
    } else if (!run.contains("failed")) {
      errors.push_back(run["test_error_pct"].get<double>());
    }
  }
  return {{"name", name},
          {"norm", "rbn"},
          {"runs", runs},
          {"test_error_pct", report::to_json(report::summarize(errors, diverged))}};
}

/// An arm with seeds 1, 2, … of these errors; its runs lie in `folder`/seed-1 and so on.
inline Json sample_arm(const std::string& name, const std::vector<double>& errors,
                       const std::string& folder = "arm") {
  Json runs = Json::array();
  int seed = 0;
  for (const double error : errors) {
    ++seed;
    runs.push_back(sample_run(seed, error, folder + "/seed-" + std::to_string(seed)));
  }
  return arm_of(name, runs);
}

inline Json sample_document(const std::vector<Json>& arms) {
  return {{"recipe", "lenet5-mnist"},
          {"machine", {{"cpu", "some"}, {"cores", 2}}},
          {"setup", {{"model", "lenet5"}, {"epochs", 10}}},
          {"arms", arms}};
}

inline report::Result sample_result(const std::vector<Json>& arms) {
  return report::parse_result(sample_document(arms), "result.json");
}

/// What keeps `text` from being well-formed: an unbalanced or malformed tag, a bare '&', '<' or control
/// character; or nothing. Enough of XML for what we write; HTML's void element meta and its doctype are
/// known.
inline std::string markup_fault(const std::string& text) {
  std::vector<std::string> open;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return "a control character";
    if (c == '&') {
      const std::size_t end = text.find(';', i);
      const std::string name = text.substr(i + 1, end == std::string::npos ? 0 : end - i - 1);
      if (name != "amp" && name != "lt" && name != "gt" && name != "quot" && name != "#39") {
        return "a bare & before " + text.substr(i, 20);
      }
    }
    if (c != '<') continue;
    std::size_t end = i + 1;
    bool quoted = false;
    while (end < text.size() && (quoted || text[end] != '>')) {
      if (text[end] == '"') quoted = !quoted;
      if (text[end] == '<') return "a bare < in " + text.substr(i, 40);
      ++end;
    }
    if (end >= text.size()) return "a tag without end: " + text.substr(i, 40);
    const std::string tag = text.substr(i + 1, end - i - 1);
    i = end;
    const std::string name =
        tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag[0] == '!' || name == "meta" || tag.back() == '/') continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else if (open.empty() || open.back() != tag.substr(1)) {
      return "</" + tag.substr(1) + "> closes " + (open.empty() ? "nothing" : open.back());
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

inline std::size_t occurrences(const std::string& text, const std::string& piece) {
  std::size_t count = 0;
  for (std::size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) ++count;
  return count;
}

}  // namespace refnorm::testing
