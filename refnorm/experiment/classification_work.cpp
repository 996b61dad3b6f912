#include <refnorm/base/error.h>
#include <refnorm/experiment/classification_work.h>
#include <refnorm/experiment/data_sets.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/norm_spec.h>

namespace refnorm::experiment {

ClassificationWork::ClassificationWork(const Recipe& recipe, std::shared_ptr<train::Group> group)
    : recipe_(recipe),
      assembly_(recipe, std::move(group)),
      settings_(settings_of(recipe, assembly_.plan().steps_per_epoch())),
      task_(assembly_.network(), assembly_.reference(),
            {assembly_.splits().train.get(), assembly_.splits().validation.get(), &assembly_.sampler(),
             assembly_.plan()},
            settings_, assembly_.compute(), assembly_.group()) {}

Json ClassificationWork::setup() const {
  return setup_description(recipe_, assembly_.splits(), assembly_.sampler());
}

void ClassificationWork::begin(const std::filesystem::path& folder) {
  keep_class_names(recipe_.data, *assembly_.splits().train, folder);
  unreadable_.emplace(sources_of(assembly_.splits()), folder);
}

std::vector<std::string> ClassificationWork::first_words() const {
  const std::int64_t never = assembly_.sampler().never_drawn();
  if (never == 0) return {};
  return {fmt::format("{} of {} training samples are never drawn: a {} of theirs does not fill a batch",
                      never, assembly_.splits().train->size(), recipe_.sampler.kind)};
}

std::vector<std::string> ClassificationWork::news() {
  return unreadable_->news();
}

std::string ClassificationWork::epoch_words(const train::RunState& state) const {
  return fmt::format("train error {:.2f} %{}", state.last_epoch.error_pct(),
                     state.best ? fmt::format(", best validation error {:.2f} % (epoch {})",
                                              state.best->validation_error_pct, state.best->epoch)
                                : "");
}

void ClassificationWork::put_skew(Json& result) const {
  const data::ImageSet& train = *assembly_.splits().train;
  const auto divergence = [&](std::vector<std::int64_t> keys) {
    return data::mean_skew(data::LabelSkew(std::move(keys)), assembly_.sampler()).divergence;
  };
  result["label_divergence_bits"] = divergence(data::labels_of(train));
  if (train.grouping() != nullptr) result["group_divergence_bits"] = divergence(data::groups_of(train));
}

Json ClassificationWork::results(const train::Outcome& outcome, const std::filesystem::path& folder) {
  Json result;
  Populations populations;
  if (outcome.diverged) {
    if (recipe_.run.test) result["test_error_pct"] = nullptr;
  } else {
    populations = collect_populations(assembly_, recipe_, outcome.state, folder / "best");
    const PopulationStatistics& population = populations.last;
    if (!population.empty()) write_population(folder / "population.safetensors", population);
    if (recipe_.run.test) result.update(test_errors(assembly_, recipe_, population));
    result.update(validation_error(assembly_, recipe_, population));
    if (recipe_.run.test) {
      result.update(robustness(assembly_, recipe_, population));
      result.update(closer_look(assembly_, recipe_, population));
    }
  }
  put_skew(result);
  result["train_error_pct"] =
      outcome.state.last_epoch.samples > 0 ? Json(outcome.state.last_epoch.error_pct()) : Json();
  result.update(on_the_way(recipe_, outcome.state));
  const data::Uses uses = data::count_uses(assembly_.sampler(), task_.plan(),
                                           assembly_.splits().train->size(), outcome.state.step);
  result["sample_uses"] = {
      {"least", uses.least}, {"most", uses.most}, {"mean", uses.mean}, {"never", uses.never}};
  // The last, since it changes the network's weights.
  if (recipe_.run.test && !outcome.diverged && outcome.state.best) {
    result["test_error_pct_of_best"] =
        test_error_of_best(assembly_, recipe_, outcome.state, folder / "best",
                           result["test_error_pct"].get<double>(), populations.best);
  }
  unreadable_->update(*assembly_.group());
  if (recipe_.data.on_error == "skip") result["unreadable"] = unreadable_->summary();
  return result;
}

void ClassificationWork::assist(const train::Outcome& outcome, const std::filesystem::path& folder) {
  if (!outcome.diverged) collect_populations(assembly_, recipe_, outcome.state, folder / "best");
  found_by_all(sources_of(assembly_.splits()), *assembly_.group());
}

Outline outline_of_classification(const Recipe& recipe) {
  const data::Splits splits = load_splits(recipe);
  check_measures(recipe, splits);
  for (const ArmSettings& arm : recipe.arms) {
    try {
      models::make_model(
          recipe.model.kind,
          {norm_factory(NormSpec::parse(with_steps(arm.norm, 100))), splits.train->channels(),
           static_cast<std::int64_t>(splits.train->class_names().size()), splits.train->side()});
    } catch (const UserError& error) {
      user_error("arm '{}': {}", arm.name, error.what());
    }
  }
  if (recipe.reference.size > splits.train->size()) {
    user_error("reference.size: {} samples, the training set has {}", recipe.reference.size,
               splits.train->size());
  }
  reference_sampler(*splits.train, recipe.reference, 0);
  const auto sampler =
      data::make_sampler(recipe.sampler.kind, data::keys_of(*splits.train), recipe.train.batch_size, 0);
  return {setup_description(recipe, splits, *sampler),
          recipe.train.epochs * step_plan(recipe, *sampler).steps_per_epoch()};
}

}  // namespace refnorm::experiment
