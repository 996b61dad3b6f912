#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/data/picture_source.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/detection_predictor.h>
#include <refnorm/experiment/found_objects.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/norms/reference_layer.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/checkpoint.h>
#include <refnorm/train/mode.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kStride = 32;  // a picture's sides are filled up to multiples of it, as in training
constexpr std::int64_t kMargin =
    2;  // a JPEG is decoded at a reduced size that is still so many times as large

std::int64_t filled_up(std::int64_t side) {
  return (side + kStride - 1) / kStride * kStride;
}

std::map<std::int64_t, std::string> read_names(const fs::path& run) {
  const fs::path file = run / "categories.json";
  const Json list = read_json(file);
  std::map<std::int64_t, std::string> names;
  try {
    for (const Json& one : list) names[one.at("id").get<std::int64_t>()] = one.at("name").get<std::string>();
  } catch (const Json::exception&) {
    names.clear();
  }
  if (names.empty() || names.size() != list.size())
    user_error("{}: expected a list of categories, each with an id of its own and a name", file.string());
  return names;
}

bool has_batch_statistics(torch::nn::Module& model) {
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(model)) {
    if (!layer->kept_frozen()) return true;
  }
  return false;
}

void reject_references(torch::nn::Module& model, const Recipe& recipe) {
  for (const auto& [name, layer] : find_layers<ReferenceLayer>(model)) {
    if (layer->evaluates_by_reference())
      user_error(
          "predict: the norm '{}' evaluates by its reference batch, expected one with stored statistics",
          recipe.arms.at(0).norm);
  }
}

}  // namespace

TrainedDetector load_trained_detector(const fs::path& folder, const TrainedRequest& request) {
  const Recipe recipe = open_run(folder, request);
  TrainedDetector run{recipe, std::make_unique<DetectionAssembly>(recipe), request.checkpoint};
  train::load_checkpoint_model(folder / request.checkpoint, *run.assembly->model());
  const train::Bfloat16Scope precision(run.assembly->compute().bfloat16, run.assembly->compute().device);
  run.assembly->reference().refresh();
  return run;
}

Json evaluate_detector(const fs::path& folder, const TrainedRequest& request, const std::string& statistics) {
  const TrainedDetector run = load_trained_detector(folder, request);
  PopulationStatistics population;
  if (run.assembly->has_batch_statistics() && (statistics.empty() || statistics == "population")) {
    population = stored_population(folder, request.checkpoint, *run.assembly->model());
    if (population.empty()) population = collect_population(*run.assembly, run.recipe);
  }
  Json result{{"recipe", run.recipe.name},
              {"arm", run.recipe.arms.at(0).name},
              {"norm", run.recipe.arms.at(0).norm},
              {"seed", run.recipe.run.seed},
              {"machine", machine_description(run.recipe)},
              {"setup", detection_setup(run.recipe, run.assembly->splits())},
              {"checkpoint", run.checkpoint}};
  result.update(detection_errors(*run.assembly, run.recipe, population, statistics, {}));
  if (run.recipe.data.on_error == "skip")
    result["unreadable"] = unreadable_of(sources_of(run.assembly->splits()));
  return result;
}

DetectionPredictor::DetectionPredictor(const fs::path& run, const TrainedRequest& request,
                                       const std::string& statistics)
    : recipe_(open_run(run, request)), names_(read_names(run)) {
  for (const auto& [id, name] : names_) ids_.push_back(id);
  compute_ = compute_of(recipe_);
  model_ = make_detector(recipe_, static_cast<std::int64_t>(names_.size()));
  reject_references(*model_, recipe_);
  const bool by_batches = has_batch_statistics(*model_);
  if (!by_batches && !statistics.empty())
    user_error("--statistics {}: no norm of '{}' goes by the statistics of batches", statistics,
               recipe_.arms.at(0).norm);
  const PopulationStatistics population = by_batches && statistics != "running"
                                              ? stored_population(run, request.checkpoint, *model_)
                                              : PopulationStatistics{};
  if (by_batches && statistics == "population" && population.empty())
    user_error("{}: has no population statistics of the checkpoint '{}'; expected --statistics running",
               run.string(), request.checkpoint);
  train::load_checkpoint_model(run / request.checkpoint, *model_);
  if (!population.empty()) set_population(*model_, population, reading_of(recipe_));
  if (by_batches) statistics_ = population.empty() ? Statistics::kRunning : Statistics::kPopulation;
  compute_.place(*model_);
}

std::vector<data::CocoDetection> DetectionPredictor::detect(const fs::path& picture, std::int64_t image_id) {
  const torch::NoGradGuard no_grad;
  data::PictureSource source(read_file(picture), picture.string());
  const data::PictureSize original{source.height(), source.width()};
  const data::PictureSize seen = data::resized(original, recipe_.data.short_side, recipe_.data.long_side);
  torch::Tensor image = torch::zeros({1, 3, filled_up(seen.height), filled_up(seen.width)});
  data::Workspace workspace;
  const data::PictureLook look;
  data::write_whole_look(source, seen.height, seen.width, /*mirrored=*/false, kMargin, look, workspace,
                         {image.data_ptr<float>(), image.size(3), image.size(2) * image.size(3)});
  const train::Mode mode(*model_, /*training=*/false, statistics_);
  std::vector<models::Detections> found;
  {
    const train::Bfloat16Scope precision(compute_.bfloat16, compute_.device);
    found = model_->detect(compute_.place(image), {{seen.height, seen.width}});
  }
  return in_file(found.at(0), {original, seen, image_id}, ids_);
}

}  // namespace refnorm::experiment
