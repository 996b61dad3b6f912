#include <algorithm>
#include <limits>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/detection_work.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/train/autocast.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDetections = "detections.json";

DetectionData data_of(DetectionAssembly& assembly) {
  return {assembly.splits().train.get(), assembly.splits().validation.get(), &assembly.sampler(),
          assembly.plan()};
}

void check_measures(const Recipe& recipe) {
  const MeasureSettings& wanted = recipe.measure;
  const char* what = !wanted.corruptions.empty() ? "corruptions"
                     : wanted.fgsm > 0           ? "fgsm"
                     : wanted.pgd > 0            ? "pgd"
                                                 : nullptr;
  if (what != nullptr)
    user_error("measure.{}: is of labelled pictures, {} detects objects", what, recipe.model.kind);
  if (recipe.data.validation > 0) return;
  if (wanted.target > 0) user_error("measure.target: is of validation pictures, and data.validation is 0");
  if (wanted.every.of(1) > 0)
    user_error("measure.every: is of validation pictures, and data.validation is 0");
}

/// In percent, the names of Table 3: "box AP", "mask AP75".
Json in_percent(const Json& figures) {
  Json percent;
  for (const auto& [kind, name] : {std::pair("bbox", "box"), std::pair("segm", "mask")}) {
    for (const char* figure : {"AP", "AP50", "AP75"}) {
      const auto share = figures.at(kind).at(figure).get<double>();
      percent[fmt::format("{} {}", name, figure)] = share < 0 ? Json(nullptr) : Json(100 * share);
    }
  }
  return percent;
}

double error_of(const Json& figures) {
  return 100 - 100 * std::max(0.0, figures.at("bbox").at("AP").get<double>());
}

}  // namespace

PopulationStatistics collect_population(DetectionAssembly& assembly, const Recipe& recipe) {
  if (!assembly.has_batch_statistics()) return {};
  const std::int64_t batches =
      recipe.population.batches > 0 ? recipe.population.batches : std::numeric_limits<std::int64_t>::max();
  return collect_detection_population(
      assembly.model(), assembly.reference(), data_of(assembly), recipe.train.epochs, batches,
      static_cast<std::uint64_t>(recipe.run.seed), assembly.compute(), *assembly.group());
}

Json detection_errors(DetectionAssembly& assembly, const Recipe& recipe,
                      const PopulationStatistics& population, const std::string& only,
                      const fs::path& folder) {
  {
    const train::Bfloat16Scope precision(assembly.compute().bfloat16, assembly.compute().device);
    assembly.reference().prepare_evaluation();
  }
  const data::DetectionSet& test = *assembly.splits().test;
  Json by_statistics{{"running", nullptr}, {"population", nullptr}, {"batch", nullptr}};
  Json out;
  const auto evaluate = [&](Statistics statistics, bool chosen) {
    const std::vector<data::CocoDetection> found =
        detect_all(assembly.model(), test, statistics, assembly.compute());
    Json figures = detection_figures(test, found, torch::get_num_threads());
    if (chosen) {
      out["detection"] = in_percent(figures);
      out["detection_figures"] = figures;
      out["test_error_pct"] = error_of(figures);
      if (!folder.empty()) data::write_coco_results(folder / kDetections, found);
    }
    return error_of(figures);
  };
  if (!assembly.has_batch_statistics()) {
    if (!only.empty())
      user_error("--statistics {}: no norm of '{}' goes by the statistics of batches", only,
                 recipe.arms.at(0).norm);
    evaluate(Statistics::kByMode, true);
  } else {
    if (only == "batch")
      user_error("--statistics batch: expected running or population for a network that detects objects");
    if (only != "population") by_statistics["running"] = evaluate(Statistics::kRunning, only == "running");
    if (only != "running") {
      set_population(*assembly.model(), population, reading_of(recipe));
      by_statistics["population"] = evaluate(Statistics::kPopulation, true);
    }
  }
  out["test_error_pct_by_statistics"] = by_statistics;
  out["test_error_pct_by_population_reading"] = nullptr;
  return out;
}

DetectionWork::DetectionWork(const Recipe& recipe, std::shared_ptr<train::Group> group)
    : recipe_(recipe),
      assembly_((check_measures(recipe), recipe), std::move(group)),
      settings_(settings_of(recipe, assembly_.plan().steps_per_epoch())),
      task_(assembly_.model(), assembly_.reference(), data_of(assembly_),
            static_cast<std::uint64_t>(recipe.run.seed), assembly_.compute(), assembly_.group()) {}

void DetectionWork::begin(const fs::path& folder) {
  Json names = Json::array();
  for (const data::CocoCategory& category : assembly_.splits().train->instances().categories)
    names.push_back({{"id", category.id}, {"name", category.name}});
  write_json(folder / "categories.json", names);
  unreadable_.emplace(sources_of(assembly_.splits()), folder);
}

std::vector<std::string> DetectionWork::first_words() const {
  std::vector<std::string> lines;
  const auto& problems = assembly_.splits().train->instances().problems;
  if (!problems.empty())
    lines.push_back(
        fmt::format("{} problems in the annotations, the first: {}", problems.size(), problems.front().what));
  return lines;
}

std::vector<std::string> DetectionWork::news() {
  return unreadable_->news();
}

std::string DetectionWork::epoch_words(const train::RunState& state) const {
  return fmt::format("loss {:.3f}{}", state.last_epoch.mean_loss(),
                     state.best ? fmt::format(", best box AP {:.1f} (epoch {})",
                                              100 - state.best->validation_error_pct, state.best->epoch)
                                : "");
}

Json DetectionWork::results(const train::Outcome& outcome, const fs::path& folder) {
  Json result;
  if (outcome.diverged) {
    if (recipe_.run.test) result["test_error_pct"] = nullptr;
  } else {
    const PopulationStatistics population = collect_population(assembly_, recipe_);
    if (!population.empty()) write_population(folder / "population.safetensors", population);
    if (recipe_.run.test) result.update(detection_errors(assembly_, recipe_, population, "", folder));
  }
  result["train_error_pct"] = nullptr;
  if (outcome.state.last_epoch.samples > 0) {
    result["train_loss"] = outcome.state.last_epoch.mean_loss();
    for (const auto& [part, sum] : outcome.state.last_epoch.part_sums)
      result["train_losses"][part] = outcome.state.last_epoch.mean_part(part);
  }
  result.update(on_the_way(recipe_, outcome.state));
  unreadable_->update(*assembly_.group());
  if (recipe_.data.on_error == "skip") result["unreadable"] = unreadable_->summary();
  return result;
}

void DetectionWork::assist(const train::Outcome& outcome, const fs::path& /*folder*/) {
  if (!outcome.diverged) collect_population(assembly_, recipe_);
  found_by_all(sources_of(assembly_.splits()), *assembly_.group());
}

Outline outline_of_detection(const Recipe& recipe) {
  check_measures(recipe);
  const DetectionSplits splits = load_detection_splits(recipe);
  for (const ArmSettings& arm : recipe.arms) {
    Recipe of_arm = recipe;
    of_arm.arms = {arm};
    try {
      make_detector(of_arm, splits.train->classes());
    } catch (const UserError& error) {
      user_error("arm '{}': {}", arm.name, error.what());
    }
  }
  if (recipe.reference.size > splits.train->size())
    user_error("reference.size: {} pictures, the training set has {}", recipe.reference.size,
               splits.train->size());
  const auto sampler = detection_sampler(recipe, *splits.train);
  return {detection_setup(recipe, splits),
          recipe.train.epochs * step_plan(recipe, *sampler).steps_per_epoch()};
}

}  // namespace refnorm::experiment
