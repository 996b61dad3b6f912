#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/report/field.h>
#include <refnorm/report/statistics.h>

namespace refnorm::report {

/// One value by name, such as a test error by the statistics it was evaluated with; nothing where it does not
/// apply.
using NamedValues = std::vector<std::pair<std::string, std::optional<double>>>;

/// The value of that name, or nothing.
std::optional<double> value_of(const NamedValues& values, const std::string& name);

/// One arm with one seed. Errors are percentages.
struct Run {
  std::uint64_t seed = 0;
  std::string folder;  ///< relative to the comparison's
  bool diverged = false;
  std::string diverged_at;            ///< "step 17, layer conv1", or empty
  std::optional<std::string> failed;  ///< what a run that crashed said
  std::optional<double> test_error;   ///< there exactly where the run counts
  NamedValues by_statistics, by_reading;
  NamedValues closer;      ///< the worst class, and training and evaluation on the same data
  NamedValues robustness;  ///< under corruptions and attacks
  NamedValues detection;   ///< percent, such as "box AP": of networks that detect objects; more is better
  NamedValues by_domain;   ///< of the test set
  std::optional<double> train_error;
  std::string best;  ///< "0.70 %, step 3,870": the lowest validation error; or empty
  std::optional<double> best_validation_error, best_step;
  std::optional<double> best_test_error;                     ///< of the weights with that
  bool has_target = false;                                   ///< a validation error was to be reached
  std::optional<double> steps_to_target, seconds_to_target;  ///< nothing where it was not
  std::optional<std::uint64_t> steps;
  std::optional<double> seconds, images_per_second;

  /// Neither diverged nor failed: only such runs are averaged.
  bool counts() const { return !diverged && !failed; }
};

struct Arm {
  std::string name, norm;
  std::vector<Run> runs;
  Summary test_error;

  std::size_t failed() const;
};

/// What was run on what.
struct Experiment {
  std::string recipe, note;
  Json machine = Json::object(), setup = Json::object();  ///< shown as they are
};

/// A comparison's result.json, as docs/files.md describes it.
struct Result : Experiment {
  Json paper;  ///< shown as it is; may be null
  std::vector<Arm> arms;
};

/// Throws UserError of one line, naming `origin` and the field, where something is missing, of the wrong
/// kind, out of range, or does not fit together.
Result parse_result(const Json& document, const std::string& origin);

/// The parts that the result of a sweep shares. At least one arm, and no two of one name.
Experiment parse_experiment(const Field& root);
std::vector<Arm> parse_arms(const Field& arms);
/// A folder below the one that the result lies in.
std::string parse_folder(const Field& field);

}  // namespace refnorm::report
