#include <utility>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/experiment/data_sets.h>
#include <refnorm/experiment/run_predictor.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/norms/reference_layer.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/checkpoint.h>
#include <refnorm/train/mode.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

/// Norms can have lengths in percent of a training's steps. They play no part in evaluation, and how many
/// steps an epoch has is known only with the data set.
constexpr std::int64_t kSomeSteps = 1'000'000;

train::Network make_network(const Recipe& recipe, const deploy::ModelDescription& description) {
  const std::string norm = with_steps(recipe.arms.at(0).norm, kSomeSteps);
  const auto model = models::make_model(
      recipe.model.kind, {norm_factory(NormSpec::parse(norm)), description.channels,
                          static_cast<std::int64_t>(description.classes.size()), description.height});
  return {model, [model](const torch::Tensor& images) { return model->forward(images); }};
}

bool evaluates_by_reference(torch::nn::Module& model) {
  for (const auto& [name, layer] : find_layers<ReferenceLayer>(model)) {
    if (layer->evaluates_by_reference()) return true;
  }
  return false;
}

Statistics wanted_statistics(const Recipe& recipe, torch::nn::Module& model, const std::string& wanted) {
  const bool has_them = !find_layers<BatchStatisticsLayer>(model).empty();
  if (!has_them && !wanted.empty())
    user_error("--statistics {}: the norm '{}' has no batch statistics", wanted, recipe.arms.at(0).norm);
  if (!has_them) return Statistics::kByMode;
  return wanted == "running" ? Statistics::kRunning : Statistics::kPopulation;
}

}  // namespace

deploy::ModelDescription describe_model(const Recipe& recipe, const fs::path& run) {
  const PictureShape shape = picture_shape(recipe.data);
  const PictureFacts facts = picture_facts(recipe.data, run);
  deploy::ModelDescription description;
  description.channels = shape.channels;
  description.height = description.width = shape.side;
  description.centre = shape.centre;
  description.mean = facts.mean;
  description.std = facts.deviation;
  description.classes = facts.class_names;
  description.model = recipe.model.kind;
  description.norm = recipe.arms.at(0).norm;
  description.recipe = recipe.name;
  description.arm = recipe.arms.at(0).name;
  return description;
}

RunPredictor::RunPredictor(const fs::path& run, const TrainedRequest& request, const std::string& statistics)
    : recipe_(open_run(run, request)),
      description_(describe_model(recipe_, run)),
      network_(make_network(recipe_, description_)),
      statistics_(wanted_statistics(recipe_, *network_.module, statistics)),
      compute_(compute_of(recipe_)) {
  load_weights(run, request);
  compute_.place(*network_.module);
}

void RunPredictor::load_weights(const fs::path& run, const TrainedRequest& request) {
  torch::nn::Module& module = *network_.module;
  const bool by_population = statistics_ == Statistics::kPopulation;
  PopulationStatistics population;
  if (by_population) population = stored_population(run, request.checkpoint, module);
  if ((by_population && population.empty()) || evaluates_by_reference(module)) {
    load_with_data(run, request);
    return;
  }
  train::load_checkpoint_model(run / request.checkpoint, module);
  if (by_population) set_population(module, population, reading_of(recipe_));
}

void RunPredictor::load_with_data(const fs::path& run, const TrainedRequest& request) {
  const TrainedRun trained = load_trained(run, request);
  network_ = trained.assembly->network();
  if (statistics_ == Statistics::kPopulation)
    set_population(*network_.module, trained.population(), reading_of(recipe_));
  const train::Bfloat16Scope precision(compute_.bfloat16, compute_.device);
  trained.assembly->reference().prepare_evaluation();
}

std::vector<float> RunPredictor::scores(const std::vector<float>& images, std::int64_t count) {
  const torch::NoGradGuard no_grad;
  const train::Mode mode(*network_.module, /*training=*/false, statistics_);
  const torch::Tensor given =
      torch::tensor(images, torch::kFloat)
          .view({count, description_.channels, description_.height, description_.width});
  torch::Tensor scores;
  {
    const train::Bfloat16Scope precision(compute_.bfloat16, compute_.device);
    scores = network_.forward(compute_.place(given));
  }
  scores = scores.to(torch::kCPU, torch::kFloat).contiguous();
  const auto* values = scores.data_ptr<float>();
  return {values, values + scores.numel()};
}

}  // namespace refnorm::experiment
