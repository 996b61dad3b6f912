#include <algorithm>
#include <limits>
#include <utility>

#include <torch/nn/module.h>

#include <refnorm/base/error.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/data/corruption.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/metrics/classification.h>
#include <refnorm/train/attack.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::experiment {
namespace {

/// Training samples on which training mode and evaluation are compared.
constexpr std::int64_t kSameSamples = 5000;

std::string entry_name(const std::string& layer, PopulationReading reading, const char* what) {
  return fmt::format("{}/{}/{}", layer, to_string(reading), what);
}

/// Makes the network ready for evaluation by the statistics that the recipe's test error goes by.
Statistics use_chosen_statistics(Assembly& assembly, const Recipe& recipe,
                                 const PopulationStatistics& population) {
  {
    const train::Bfloat16Scope precision(assembly.compute().bfloat16, assembly.compute().device);
    assembly.reference().prepare_evaluation();
  }
  if (!assembly.has_batch_statistics()) return Statistics::kByMode;
  set_population(*assembly.network().module, population, reading_of(recipe));
  return Statistics::kPopulation;
}

}  // namespace

PopulationReading reading_of(const Recipe& recipe) {
  for (const PopulationReading reading : kPopulationReadings) {
    if (to_string(reading) == recipe.population.reading) return reading;
  }
  user_error("population.reading: '{}' is not known", recipe.population.reading);
}

void write_population(const std::filesystem::path& file, const PopulationStatistics& population) {
  Safetensors content;
  for (const auto& [layer, readings] : population) {
    for (const PopulationReading reading : kPopulationReadings) {
      content.tensors.emplace_back(entry_name(layer, reading, "mean"), train::to_raw(readings[reading].mean));
      content.tensors.emplace_back(entry_name(layer, reading, "var"), train::to_raw(readings[reading].var));
    }
  }
  write_safetensors(file, content);
}

PopulationStatistics read_population(const std::filesystem::path& file, const torch::nn::Module& model) {
  const Safetensors content = read_safetensors(file, Checksum::kRequired);
  PopulationStatistics population;
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(const_cast<torch::nn::Module&>(model))) {
    if (layer->kept_frozen()) continue;
    for (const PopulationReading reading : kPopulationReadings) {
      const auto load = [&, &layer_name = name](const char* what) {
        const std::string entry = entry_name(layer_name, reading, what);
        const RawTensor* raw = content.find(entry);
        if (raw == nullptr || raw->dtype != "F64")
          user_error("{}: '{}' is missing or not F64", file.string(), entry);
        return train::to_tensor(*raw);
      };
      population[name].readings[static_cast<std::size_t>(reading)] = {load("mean"), load("var")};
    }
  }
  return population;
}

PopulationStatistics collect_population(Assembly& assembly, const Recipe& recipe) {
  if (!assembly.has_batch_statistics()) return {};
  const std::int64_t batches =
      recipe.population.batches > 0 ? recipe.population.batches : std::numeric_limits<std::int64_t>::max();
  return train::collect_population(assembly.network(), assembly.reference(), assembly.sampler(),
                                   *assembly.splits().train, recipe.train.epochs, batches, assembly.compute(),
                                   assembly.group(), recipe.train.sync_statistics);
}

Json test_errors(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population,
                 const std::string& only) {
  {
    const train::Bfloat16Scope precision(assembly.compute().bfloat16, assembly.compute().device);
    assembly.reference().prepare_evaluation();
  }
  const std::int64_t usual = train::evaluation_batch(*assembly.splits().test);
  const auto error_by = [&](Statistics statistics, std::int64_t batch_size) {
    return train::evaluate(assembly.network(), *assembly.splits().test, batch_size, statistics,
                           assembly.compute())
        .error_pct();
  };
  const auto wanted = [&](const char* mode) { return only.empty() || only == mode; };
  Json out;
  Json by_statistics{{"running", nullptr}, {"population", nullptr}, {"batch", nullptr}};
  if (!assembly.has_batch_statistics()) {
    if (!only.empty())
      user_error("--statistics {}: the norm '{}' has no batch statistics", only, recipe.arms.at(0).norm);
    out["test_error_pct"] = error_by(Statistics::kByMode, usual);
    out["test_error_pct_by_statistics"] = by_statistics;
    out["test_error_pct_by_population_reading"] = nullptr;
    return out;
  }
  Json by_reading;
  if (wanted("running")) by_statistics["running"] = error_by(Statistics::kRunning, usual);
  if (wanted("batch")) by_statistics["batch"] = error_by(Statistics::kBatch, recipe.train.batch_size);
  if (wanted("population")) {
    for (const PopulationReading reading : kPopulationReadings) {
      set_population(*assembly.network().module, population, reading);
      by_reading[std::string(to_string(reading))] = error_by(Statistics::kPopulation, usual);
    }
    const PopulationReading chosen = reading_of(recipe);
    set_population(*assembly.network().module, population, chosen);
    by_statistics["population"] = by_reading[recipe.population.reading];
  }
  out["test_error_pct"] = by_statistics[only.empty() ? "population" : only];
  out["test_error_pct_by_statistics"] = by_statistics;
  out["test_error_pct_by_population_reading"] = by_reading;
  return out;
}

Json validation_error(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population) {
  const data::ImageSet& set = *assembly.splits().validation;
  if (set.size() == 0) return Json::object();
  const Statistics statistics = use_chosen_statistics(assembly, recipe, population);
  return {{"validation_error_pct", train::evaluate(assembly.network(), set, train::evaluation_batch(set),
                                                   statistics, assembly.compute())
                                       .error_pct()}};
}

Json closer_look(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population) {
  const Statistics statistics = use_chosen_statistics(assembly, recipe, population);
  const data::ImageSet& test = *assembly.splits().test;
  const data::Grouping* domains = test.grouping();
  metrics::ErrorsByPart by_class;
  metrics::ErrorsByPart by_domain;
  train::evaluate(
      assembly.network(), test, train::evaluation_batch(test), statistics, assembly.compute(),
      [&](std::span<const std::int64_t> indices, const torch::Tensor& scores, const torch::Tensor& labels) {
        by_class.add(scores, labels, labels.to(torch::kCPU));
        if (domains == nullptr) return;
        std::vector<std::int64_t> parts;
        for (const std::int64_t index : indices) parts.push_back(test.group(index));
        by_domain.add(scores, labels, torch::tensor(parts));
      });
  Json out;
  if (const auto worst = by_class.worst()) {
    out["worst_class"] = {{"name", test.class_names().at(static_cast<std::size_t>(worst->part))},
                          {"test_error_pct", worst->error_pct}};
  }
  for (std::size_t i = 0; domains != nullptr && i < domains->names.size(); ++i) {
    const auto error = by_domain.error_pct(i);
    out["test_error_pct_by_domain"][domains->names[i]] = error ? Json(*error) : Json(nullptr);
  }
  const std::int64_t batches = std::max<std::int64_t>(1, kSameSamples / recipe.train.batch_size);
  const train::SameData same = train::compare_modes(
      assembly.network(), assembly.reference(), assembly.sampler(), *assembly.splits().train,
      recipe.train.epochs, batches, statistics, assembly.compute());
  out["same_data"] = {{"samples", same.in_training.samples},
                      {"in_training_error_pct", same.in_training.error_pct()},
                      {"in_evaluation_error_pct", same.in_evaluation.error_pct()}};
  return out;
}

Json robustness(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population) {
  const MeasureSettings& wanted = recipe.measure;
  Json out = Json::object();
  if (wanted.corruptions.empty() && wanted.fgsm == 0 && wanted.pgd == 0) return out;
  const Statistics statistics = use_chosen_statistics(assembly, recipe, population);
  Json& found = out["robustness"];
  for (const std::string& corruption : wanted.corruptions) {
    const auto set = data::corrupted(assembly.splits().test, corruption);
    found[corruption] = train::evaluate(assembly.network(), *set, train::evaluation_batch(*set), statistics,
                                        assembly.compute())
                            .error_pct();
  }
  const auto attack = [&](const char* name, const train::Attack& how) {
    if (how.strength == 0) return;
    found[fmt::format("{}:{}", name, how.strength)] =
        train::evaluate_attacked(assembly.network(), *assembly.splits().test, wanted.attacked, statistics,
                                 how, assembly.compute())
            .error_pct();
  };
  attack("fgsm", {wanted.fgsm, 1});
  attack("pgd", {wanted.pgd, wanted.pgd_steps});
  return out;
}

Json on_the_way(const Recipe& recipe, const train::RunState& state) {
  Json out = Json::object();
  if (state.best) {
    out["best"] = {{"epoch", state.best->epoch},
                   {"step", state.best->step},
                   {"validation_error_pct", state.best->validation_error_pct}};
  }
  if (recipe.measure.target == 0) return out;
  out["steps_to_target"] = state.target ? Json(state.target->step) : Json(nullptr);
  out["seconds_to_target"] = state.target ? Json(state.target->training_seconds) : Json(nullptr);
  return out;
}

Populations collect_populations(Assembly& assembly, const Recipe& recipe, const train::RunState& state,
                                const std::filesystem::path& best) {
  Populations found{collect_population(assembly, recipe), std::nullopt};
  if (assembly.group()->size() == 1 || !recipe.run.test || !state.best || state.best->step == state.step)
    return found;
  torch::nn::Module& module = *assembly.network().module;
  const Safetensors last = train::state_of(module);
  train::load_checkpoint_model(best, module);
  found.best = collect_population(assembly, recipe);
  train::load_state(module, last, "the last step's weights");
  return found;
}

double test_error_of_best(Assembly& assembly, const Recipe& recipe, const train::RunState& state,
                          const std::filesystem::path& best, double last_error,
                          const std::optional<PopulationStatistics>& given) {
  if (state.best->step == state.step) return last_error;
  train::load_checkpoint_model(best, *assembly.network().module);
  const PopulationStatistics population = given ? *given : collect_population(assembly, recipe);
  const Statistics statistics = use_chosen_statistics(assembly, recipe, population);
  return train::evaluate(assembly.network(), *assembly.splits().test,
                         train::evaluation_batch(*assembly.splits().test), statistics, assembly.compute())
      .error_pct();
}

}  // namespace refnorm::experiment
