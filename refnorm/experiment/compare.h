#pragma once

#include <cstdint>
#include <filesystem>

#include <refnorm/base/json.h>
#include <refnorm/experiment/recipe.h>

namespace refnorm::experiment {

struct CompareOptions {
  std::int64_t seeds = 3;  ///< seeds run.seed, run.seed + 1, …
  std::int64_t jobs = 0;   ///< runs side by side; 0: as many as there are cores
  bool resume = false;
};

/// Trains every arm of the recipe with every seed, each in a process of its own, and writes result.json and
/// the report after each run that ends. A run that fails does not stop the others. Returns result.json.
/// Throws Interrupted after Ctrl-C: runs save and stop, and `resume` goes on.
Json compare(Recipe recipe, const std::filesystem::path& folder, const CompareOptions& options);

}  // namespace refnorm::experiment
