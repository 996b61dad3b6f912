#include <algorithm>

#include <fmt/format.h>

#include <refnorm/experiment/build.h>
#include <refnorm/experiment/summary.h>
#include <refnorm/report/statistics.h>

namespace refnorm::experiment {
namespace {

/// The fields of a run that a comparison repeats.
constexpr const char* kRunFields[] = {"seed",
                                      "folder",
                                      "failed",
                                      "diverged",
                                      "diverged_at",
                                      "test_error_pct",
                                      "test_error_pct_by_statistics",
                                      "test_error_pct_by_population_reading",
                                      "test_error_pct_by_domain",
                                      "test_error_pct_of_best",
                                      "validation_error_pct",
                                      "worst_class",
                                      "same_data",
                                      "robustness",
                                      "detection",
                                      "label_divergence_bits",
                                      "group_divergence_bits",
                                      "train_error_pct",
                                      "best",
                                      "steps_to_target",
                                      "seconds_to_target",
                                      "steps",
                                      "seconds",
                                      "total_seconds",
                                      "images_per_second",
                                      "step_shares"};

Json summarize_arm(const ArmSettings& arm, const std::vector<Json>& runs) {
  Json out{{"name", arm.name}, {"norm", arm.norm}};
  if (arm.lr) out["lr"] = *arm.lr;
  out["runs"] = Json::array();
  std::vector<double> errors;
  std::int64_t diverged = 0;
  for (const Json& run : runs) {
    if (run.at("arm") != arm.name) continue;
    Json entry;
    for (const char* field : kRunFields) {
      if (run.contains(field)) entry[field] = run[field];
    }
    if (!run.contains("failed")) {
      if (run.at("diverged").get<bool>()) {
        ++diverged;
      } else {
        errors.push_back(run.at("test_error_pct").get<double>());
      }
    }
    out["runs"].push_back(entry);
  }
  std::sort(out["runs"].begin(), out["runs"].end(),
            [](const Json& a, const Json& b) { return a.at("seed") < b.at("seed"); });
  out["test_error_pct"] = report::to_json(report::summarize(errors, diverged));
  return out;
}

}  // namespace

Json summarize_comparison(const Recipe& recipe, const Json& setup, const std::vector<Json>& runs,
                          std::size_t expected) {
  Json result{{"recipe", recipe.name}};
  std::string note = recipe.note;
  if (runs.size() < expected) {
    note = fmt::format("{} of {} runs so far{}{}", runs.size(), expected, note.empty() ? "" : "; ", note);
  }
  if (!note.empty()) result["note"] = note;
  result["machine"] = machine_description(recipe);
  result["setup"] = setup;
  result["arms"] = Json::array();
  for (const ArmSettings& arm : recipe.arms) result["arms"].push_back(summarize_arm(arm, runs));
  if (!recipe.paper.is_null()) result["paper"] = recipe.paper;
  return result;
}

}  // namespace refnorm::experiment
