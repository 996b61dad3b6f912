#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/experiment/pool.h>
#include <refnorm/experiment/recipe.h>

namespace refnorm::experiment {

/// What comparisons and sweeps, which are made of them, have in common.

/// Every arm of the comparison in `folder` with every seed.
std::vector<Job> jobs_of(const Recipe& recipe, const std::filesystem::path& folder, std::int64_t seeds);
/// A run as summarize_comparison() takes it.
Json run_of(const Job& job, const Json& result, const std::filesystem::path& folder);

/// Whether `folder` holds a `what` ("comparison", "sweep") to go on with. Throws UserError where it does and
/// must not, or where it holds something else.
bool open_folder(const std::filesystem::path& folder, const std::string& what, bool resume);
/// Threads of each run: those of a folder that is gone on with, which decide the bits, else cores by jobs.
/// Throws UserError where the recipe is not that folder's.
void settle_threads(Recipe& recipe, const std::filesystem::path& folder, bool there, std::int64_t jobs);

/// Writes result.json and the report of the comparison in `folder` and returns the former. `runs` are
/// run_of()'s, `expected` in all.
Json publish_comparison(const Recipe& recipe, const std::filesystem::path& folder, const Json& setup,
                        const std::vector<Json>& runs, std::size_t expected, std::int64_t jobs);

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
