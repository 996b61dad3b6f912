#include <torch/nn/module.h>

#include <refnorm/base/error.h>
#include <refnorm/experiment/detection_build.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/experiment/trained_run.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/checkpoint.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

/// The last checkpoint's reference is as old as its last refresh, and the run's own test errors are those of
/// one taken again, for Algorithm 3's pass.
void refresh_reference(Assembly& assembly) {
  const train::Bfloat16Scope precision(assembly.compute().bfloat16, assembly.compute().device);
  assembly.reference().refresh();
}

Recipe recipe_of_run(const fs::path& folder) {
  if (!fs::exists(folder / "config.toml"))
    user_error("{}: not a run folder, it has no config.toml", folder.string());
  return read_recipe(folder / "config.toml");
}

}  // namespace

PopulationStatistics stored_population(const fs::path& folder, const std::string& checkpoint,
                                       torch::nn::Module& model) {
  const fs::path file = folder / "population.safetensors";
  if (checkpoint != "last" || !fs::exists(file)) return {};
  PopulationStatistics population = read_population(file, model);
  try {
    for (const PopulationReading reading : kPopulationReadings) set_population(model, population, reading);
  } catch (const UserError& error) {
    user_error("{}: {}", file.string(), error.what());
  }
  return population;
}

PopulationStatistics TrainedRun::population() const {
  if (!assembly->has_batch_statistics()) return {};
  PopulationStatistics stored = stored_population(folder, checkpoint, *assembly->network().module);
  return stored.empty() ? collect_population(*assembly, recipe) : stored;
}

bool is_detection_run(const fs::path& folder) {
  return is_detection(recipe_of_run(folder));
}

Recipe open_run(const fs::path& folder, const TrainedRequest& request) {
  Recipe recipe = recipe_of_run(folder);
  if (request.threads > 0) recipe.run.threads = request.threads;
  if (!request.data_path.empty()) recipe.data.path = request.data_path;
  if (!request.device.empty()) recipe.run.device = request.device;
  recipe.model.weights.clear();  // only training starts from them
  recipe.arms.at(0).weights.reset();
  prepare_process(recipe);
  const fs::path checkpoint = folder / request.checkpoint;
  if (!train::has_checkpoint(checkpoint))
    user_error("{}: the run has no such checkpoint", checkpoint.string());
  return recipe;
}

TrainedRun load_trained(const fs::path& folder, const TrainedRequest& request) {
  if (is_detection_run(folder))
    user_error("{}: its network detects objects, expected one that scores classes", folder.string());
  const Recipe recipe = open_run(folder, request);
  TrainedRun run{recipe, std::make_unique<Assembly>(recipe), folder, request.checkpoint};
  train::load_checkpoint_model(folder / request.checkpoint, *run.assembly->network().module);
  refresh_reference(*run.assembly);
  return run;
}

}  // namespace refnorm::experiment
