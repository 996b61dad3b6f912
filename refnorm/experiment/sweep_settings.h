#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/experiment/recipe.h>

namespace refnorm::experiment {

/// One learning rate tried for one arm, and the validation errors of its runs that ended well.
struct Trial {
  std::size_t arm = 0;
  double lr = 0;
  std::vector<double> errors;
};

/// One combination of the axes' values.
struct SweepSetting {
  std::vector<std::pair<std::string, std::string>> values;  ///< key and value, as TOML
  Recipe recipe;
  std::filesystem::path folder;
  Json setup;
  std::int64_t steps = 0;
  std::map<std::string, Trial> trials;  ///< by the name of the tuning recipe's arm
  std::vector<Json> runs;
  std::size_t planned = 0;  ///< runs in all
};

/// Every combination, with its folder below `folder`; the last axis runs fastest. Throws UserError where two
/// would have the same folder.
std::vector<SweepSetting> settings_of(const Recipe& recipe, const std::filesystem::path& folder);

/// A value of an axis as JSON has it: "'iid'" is the text iid.
Json json_of(const std::string& toml_value);

/// A key as setup_description() calls it: "sampler.kind" is its sampler.
std::string setup_name(const std::string& key);

}  // namespace refnorm::experiment
