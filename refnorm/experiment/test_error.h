#pragma once

#include <filesystem>
#include <string>

#include <refnorm/base/json.h>
#include <refnorm/experiment/build.h>
#include <refnorm/norms/population.h>

namespace refnorm::experiment {

/// population.safetensors: "<layer>/<reading>/mean" and ".../var", float64.
void write_population(const std::filesystem::path& file, const PopulationStatistics& population);

/// Throws UserError unless the file has every reading of every layer of `model`, each of the layer's size.
PopulationStatistics read_population(const std::filesystem::path& file, const torch::nn::Module& model);

/// The recipe's reading of Algorithm 3. Throws UserError for an unknown name.
PopulationReading reading_of(const Recipe& recipe);

/// Algorithm 3's pass as the recipe has it: over the run's own batches of the epoch after the last.
PopulationStatistics collect_population(Assembly& assembly, const Recipe& recipe);

/// The `test_error_pct…` fields of docs/files.md. `statistics` restricts it to one mode; empty: all.
Json test_errors(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population,
                 const std::string& statistics = "");

/// The `validation_error_pct` of docs/files.md, by the statistics that the recipe's test error goes by; empty
/// without validation samples.
Json validation_error(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population);

/// `robustness`: the test errors under the recipe's corruptions and attacks; empty where it has none.
Json robustness(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population);

/// `worst_class` and `same_data`. Running statistics move with the latter.
Json closer_look(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population);

}  // namespace refnorm::experiment
