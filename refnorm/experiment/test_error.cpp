#include <algorithm>
#include <limits>
#include <utility>

#include <torch/torch.h>

#include <refnorm/base/error.h>
#include <refnorm/base/safetensors.h>
#include <refnorm/data/corruption.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/train/attack.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::experiment {
namespace {

constexpr std::int64_t kTestBatch = 1000;
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
                                   *assembly.splits().train, recipe.train.epochs, batches,
                                   assembly.compute());
}

Json test_errors(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population,
                 const std::string& only) {
  {
    const train::Bfloat16Scope precision(assembly.compute().bfloat16, assembly.compute().device);
    assembly.reference().prepare_evaluation();
  }
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
    out["test_error_pct"] = error_by(Statistics::kByMode, kTestBatch);
    out["test_error_pct_by_statistics"] = by_statistics;
    out["test_error_pct_by_population_reading"] = nullptr;
    return out;
  }
  Json by_reading;
  if (wanted("running")) by_statistics["running"] = error_by(Statistics::kRunning, kTestBatch);
  if (wanted("batch")) by_statistics["batch"] = error_by(Statistics::kBatch, recipe.train.batch_size);
  if (wanted("population")) {
    for (const PopulationReading reading : kPopulationReadings) {
      set_population(*assembly.network().module, population, reading);
      by_reading[std::string(to_string(reading))] = error_by(Statistics::kPopulation, kTestBatch);
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
  return {{"validation_error_pct",
           train::evaluate(assembly.network(), set, kTestBatch, statistics, assembly.compute()).error_pct()}};
}

Json closer_look(Assembly& assembly, const Recipe& recipe, const PopulationStatistics& population) {
  const Statistics statistics = use_chosen_statistics(assembly, recipe, population);
  metrics::ClassErrors by_class;
  train::evaluate(assembly.network(), *assembly.splits().test, kTestBatch, statistics, assembly.compute(),
                  &by_class);
  Json out;
  if (const auto worst = by_class.worst()) {
    out["worst_class"] = {
        {"name", assembly.splits().test->class_names().at(static_cast<std::size_t>(worst->label))},
        {"test_error_pct", worst->error_pct}};
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
    found[corruption] =
        train::evaluate(assembly.network(), *set, kTestBatch, statistics, assembly.compute()).error_pct();
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

}  // namespace refnorm::experiment
