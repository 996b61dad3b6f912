#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <refnorm/base/json.h>
#include <refnorm/experiment/recipe.h>

namespace refnorm::experiment {

struct SweepOptions {
  std::int64_t seeds = 10;  ///< seeds run.seed, run.seed + 1, …
  std::int64_t jobs = 0;    ///< runs side by side; 0: as many as there are cores
  bool resume = false;
  std::string command;  ///< for the report: what to type to run it again
};

/// Trains every arm in every setting, a combination of the values of the recipe's axes, with every seed.
/// Where the recipe names learning rates to try, each arm's in each setting is first chosen by the mean
/// validation error of runs with seeds of their own (from run.seed + 1000 on) that never read the test set;
/// ties go to the smaller rate. Writes result.json (docs/files.md) and the report after each run. A setting's
/// folder is a comparison's. Returns result.json. Throws Interrupted after Ctrl-C; `resume` goes on.
Json sweep(Recipe recipe, const std::filesystem::path& folder, const SweepOptions& options);

}  // namespace refnorm::experiment
