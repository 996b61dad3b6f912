#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <refnorm/report/result.h>

namespace refnorm::report {

/// What a sweep varies: a key of the recipe, and the values it takes.
struct SweepAxis {
  std::string key;
  std::vector<std::string> values;
};

/// How a value of the recipe was chosen for each arm and setting, by runs of other seeds than those compared.
struct Tuned {
  std::string key;
  std::vector<double> values;
  std::vector<std::uint64_t> seeds;
  std::string rule;
};

/// The learning rate of one arm in one setting.
struct Rate {
  struct Trial {
    double value = 0;
    std::optional<double> validation_error;  ///< nothing where no run of it finished
  };
  std::optional<double> chosen;
  std::vector<Trial> tried;
};

/// One point of the sweep: a comparison of all arms.
struct Setting {
  std::vector<std::size_t> places;  ///< which of each axis's values
  std::string folder;
  bool has_page = false;             ///< whether the folder has a report of its own
  std::optional<double> divergence;  ///< of the batches from the training set, bits (see Sweep::skew_of)
  std::vector<Arm> arms;             ///< the same ones in every setting
  std::vector<Rate> rates;           ///< one an arm
};

/// A sweep's result.json, as docs/files.md describes it.
struct Sweep : Experiment {
  std::string command;
  double seconds = 0;
  std::optional<std::uint64_t> planned;  ///< runs in all
  std::vector<SweepAxis> axes;
  std::optional<Tuned> tuned;
  std::vector<Setting> settings;   ///< at least one
  std::string skew_of = "labels";  ///< whose divergence the settings have: "labels", or "domains or groups"
  Json paper = nullptr;            ///< shown as it is; may be null

  const std::vector<Arm>& arms() const { return settings.front().arms; }
  /// The first arm whose norm is bn, with or without options, else the first one.
  std::size_t baseline() const;
};

/// "iid, batch 16": a setting in words, or "the one setting" without an axis.
std::string setting_words(const Sweep& sweep, const Setting& setting, const char* separator = ", ");

/// The same by some of the axes alone, by their places in `axes`.
std::string setting_words(const Sweep& sweep, const Setting& setting, const std::vector<std::size_t>& axes,
                          const char* separator = ", ");

/// Whether a result.json is a sweep's.
bool is_sweep(const Json& document);

/// Throws UserError of one line, naming `origin` and the field, where something is missing, of the wrong
/// kind, out of range, or does not fit together.
Sweep parse_sweep(const Json& document, const std::string& origin);

}  // namespace refnorm::report
