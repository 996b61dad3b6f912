#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <refnorm/base/json.h>
#include <refnorm/experiment/build.h>
#include <refnorm/norms/population.h>
#include <refnorm/train/checkpoint.h>

namespace refnorm::experiment {

/// population.safetensors: "<layer>/<reading>/mean" and ".../var", float64.
void write_population(const std::filesystem::path& file, const PopulationStatistics& population);

/// Throws UserError unless the file has every reading of every layer of `model`, each of the layer's size.
PopulationStatistics read_population(const std::filesystem::path& file, const torch::nn::Module& model);

/// The recipe's reading of Algorithm 3. Throws UserError for an unknown name.
PopulationReading reading_of(const Recipe& recipe);

/// Algorithm 3's pass as the recipe has it: over the run's own batches of the epoch after the last.
PopulationStatistics collect_population(Assembly& assembly, const Recipe& recipe);

/// Of the weights after the last step, and, where several processes share the pass, of the best checkpoint's:
/// they are all needed for it, and only one of them goes on to the test set.
struct Populations {
  PopulationStatistics last;
  std::optional<PopulationStatistics> best;
};
Populations collect_populations(Assembly& assembly, const Recipe& recipe, const train::RunState& state,
                                const std::filesystem::path& best);

/// The `test_error_pct…` fields of docs/files.md. `statistics` restricts it to one mode; empty: all.
Json test_errors(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population,
                 const std::string& statistics = "");

/// The `validation_error_pct` of docs/files.md, by the statistics that the recipe's test error goes by; empty
/// without validation samples.
Json validation_error(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population);

/// `robustness`: the test errors under the recipe's corruptions and attacks; empty where it has none.
Json robustness(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population);

/// `worst_class`, `test_error_pct_by_domain` where the test set has domains, and `same_data`. Running
/// statistics move with the latter.
Json closer_look(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population);

/// What the validations on the way found: `best`, and `steps_to_target` with `seconds_to_target` where the
/// recipe has a target (null where it was not reached).
Json on_the_way(const Recipe& recipe, const train::RunState& state);

/// `test_error_pct_of_best`, by the statistics of `test_error_pct`, those given or collected anew for the
/// checkpoint in `best`; `last_error` where that is the last step's. Leaves the network with its weights.
double test_error_of_best(Assembly& assembly, const Recipe& recipe, const train::RunState& state,
                          const std::filesystem::path& best, double last_error,
                          const std::optional<PopulationStatistics>& given = std::nullopt);

}  // namespace refnorm::experiment
