#include <utility>

#include <torch/torch.h>

#include <refnorm/base/file.h>
#include <refnorm/base/lock.h>
#include <refnorm/base/progress.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/data_sets.h>
#include <refnorm/experiment/run.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/experiment/unreadable.h>
#include <refnorm/train/trainer.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

/// A folder with files of a run and no config.toml is nobody's: neither written over nor gone on with.
void check_no_strays(const fs::path& folder) {
  for (const char* name : {"last", "best", "metrics.jsonl", "result.json"}) {
    if (!fs::exists(folder / name)) continue;
    user_error("{}: holds {} and no config.toml, so it is no run to go on with; choose another --out",
               folder.string(), name);
  }
}

/// A kill between the exchange of a checkpoint's folders and the end of the old one leaves that.
void clear_leftovers(const fs::path& folder) {
  for (const char* name : {"last.tmp", "best.tmp"}) fs::remove_all(folder / name);
}

/// The folder of a run that its first batch showed to be impossible.
void discard(const fs::path& folder, bool folder_was_there) {
  std::error_code ignored;
  fs::remove(folder / "config.toml", ignored);
  fs::remove(folder / "metrics.jsonl", ignored);
  if (!folder_was_there) fs::remove(folder, ignored);
}

/// The first parameter that is no longer finite, which the loss of the next step would have shown.
std::optional<std::string> broken_parameter(const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) {
    if (item.value().defined() && !torch::isfinite(item.value()).all().item<bool>()) return item.key();
  }
  return std::nullopt;
}

/// With the arm's own learning rate, where it has one, and what is measured on the way.
train::TrainSettings train_settings(const Recipe& recipe, std::int64_t steps) {
  train::TrainSettings settings = recipe.train;
  settings.lr = recipe.arms.at(0).lr.value_or(settings.lr);
  settings.validate_every = recipe.measure.every.of(steps);
  settings.target = recipe.measure.target;
  return settings;
}

/// More than these lie in RUN/unreadable.json alone.
constexpr std::size_t kUnreadableSaid = 20;

train::Outcome train_with_progress(const Recipe& recipe, Assembly& assembly, const fs::path& folder,
                                   bool resume, UnreadableLog& unreadable) {
  const std::int64_t total = recipe.train.epochs * assembly.plan().steps_per_epoch();
  train::Trainer trainer(assembly.network(), assembly.reference(),
                         {assembly.splits().train.get(), assembly.splits().validation.get(),
                          &assembly.sampler(), assembly.plan()},
                         train_settings(recipe, total), assembly.compute(), folder);
  std::optional<Progress> progress;
  train::Hooks hooks;
  hooks.after_step = [&](const train::RunState& state, double loss) {
    if (!progress) {
      progress.emplace(recipe.arms.at(0).name, total, "steps", state.step - 1);
      if (const std::int64_t never = assembly.sampler().never_drawn(); never > 0) {
        progress->say(
            fmt::format("{} of {} training samples are never drawn: a {} of theirs does not fill a batch",
                        never, assembly.splits().train->size(), recipe.sampler.kind));
      }
    }
    for (const data::Unreadable& one : unreadable.update()) {
      if (unreadable.all().size() <= kUnreadableSaid)
        progress->say(fmt::format("passed over {}: {}", one.file, one.why));
    }
    progress->update(state.step, fmt::format("loss {:.4f}", loss));
  };
  hooks.after_epoch = [&](const train::RunState& state) {
    if (!progress) return;
    progress->say(fmt::format("epoch {}/{}: train error {:.2f} %{}", assembly.plan().epoch(state.step),
                              recipe.train.epochs, state.last_epoch.error_pct(),
                              state.best ? fmt::format(", best validation error {:.2f} % (epoch {})",
                                                       state.best->validation_error_pct, state.best->epoch)
                                         : ""));
  };
  return trainer.run(resume, hooks);
}

Json describe(const Recipe& recipe, const Assembly& assembly) {
  Json result{{"recipe", recipe.name}};
  if (!recipe.note.empty()) result["note"] = recipe.note;
  result["arm"] = recipe.arms.at(0).name;
  result["norm"] = recipe.arms.at(0).norm;
  result["seed"] = recipe.run.seed;
  result["machine"] = machine_description(recipe);
  result["setup"] = setup_description(recipe, assembly.splits(), assembly.sampler());
  return result;
}

Json finish(const Recipe& recipe, Assembly& assembly, train::Outcome outcome, const fs::path& folder,
            UnreadableLog& unreadable) {
  Json result = describe(recipe, assembly);
  if (!outcome.diverged) {
    if (const auto parameter = broken_parameter(*assembly.network().module)) {
      outcome.diverged = train::Divergence{outcome.state.step, *parameter};
    }
  }
  result["diverged"] = outcome.diverged.has_value();
  if (outcome.diverged) {
    result["diverged_at"] = {{"step", outcome.diverged->step}, {"layer", outcome.diverged->layer}};
    if (recipe.run.test) result["test_error_pct"] = nullptr;
  } else {
    const PopulationStatistics population = collect_population(assembly, recipe);
    if (!population.empty()) write_population(folder / "population.safetensors", population);
    if (recipe.run.test) result.update(test_errors(assembly, recipe, population));
    result.update(validation_error(assembly, recipe, population));
    if (recipe.run.test) result.update(robustness(assembly, recipe, population));
    if (recipe.run.test) result.update(closer_look(assembly, recipe, population));
  }
  result["label_divergence_bits"] =
      data::mean_skew(data::LabelSkew(data::labels_of(*assembly.splits().train)), assembly.sampler())
          .divergence;
  if (assembly.splits().train->grouping() != nullptr) {
    result["group_divergence_bits"] =
        data::mean_skew(data::LabelSkew(data::groups_of(*assembly.splits().train)), assembly.sampler())
            .divergence;
  }
  result["train_error_pct"] =
      outcome.state.last_epoch.samples > 0 ? Json(outcome.state.last_epoch.error_pct()) : Json();
  result.update(on_the_way(recipe, outcome.state));
  result["steps"] = outcome.state.step;
  const data::Uses uses = data::count_uses(assembly.sampler(), assembly.plan(),
                                           assembly.splits().train->size(), outcome.state.step);
  result["sample_uses"] = {
      {"least", uses.least}, {"most", uses.most}, {"mean", uses.mean}, {"never", uses.never}};
  result["seconds"] = outcome.state.seconds;
  // Over all processes of the run; what a resumed run repeated is not counted.
  result["images_per_second"] =
      outcome.state.training_seconds > 0
          ? static_cast<double>(outcome.state.step * recipe.train.batch_size * assembly.plan().per_step) /
                outcome.state.training_seconds
          : 0;
  for (const auto& [part, share] : outcome.shares) result["step_shares"][part] = share;
  // The last, since it changes the network's weights.
  if (result.contains("test_error_pct") && !outcome.diverged && outcome.state.best) {
    result["test_error_pct_of_best"] = test_error_of_best(assembly, recipe, outcome.state, folder / "best",
                                                          result["test_error_pct"].get<double>());
  }
  unreadable.update();
  if (recipe.data.on_error == "skip") result["unreadable"] = to_json(unreadable.all());
  clear_leftovers(folder);
  write_json(folder / "result.json", result);
  return result;
}

}  // namespace

void check_same_recipe(const fs::path& config, const Recipe& wanted) {
  Recipe before = read_recipe(config);
  before.note = wanted.note;  // it says how the recipe was come by; what counts are the values
  before.data.workers = wanted.data.workers;  // any number gives the same batches
  const std::vector<std::string> there = split(to_toml(before), '\n');
  const std::vector<std::string> asked = split(to_toml(wanted), '\n');
  for (std::size_t i = 0; i < std::max(there.size(), asked.size()); ++i) {
    const std::string old = i < there.size() ? there[i] : "";
    const std::string now = i < asked.size() ? asked[i] : "";
    if (old == now) continue;
    user_error(
        "{}: the run there was started with '{}', not '{}'; resume it with its own recipe or choose another "
        "--out",
        config.string(), printable(old), printable(now));
  }
}

Json read_run_result(const fs::path& file) {
  Json result = read_json(file);
  try {
    for (const char* key : {"arm", "norm"}) result.at(key).get<std::string>();
    for (const char* key : {"seed", "steps"}) result.at(key).get<std::int64_t>();
    for (const char* key : {"seconds", "images_per_second"}) result.at(key).get<double>();
    if (result.at("diverged").get<bool>()) {
      result.at("diverged_at").at("step").get<std::int64_t>();
      result.at("diverged_at").at("layer").get<std::string>();
    } else {
      if (!result.contains("test_error_pct") && result.contains("validation_error_pct")) {  // of tuning
        result["validation_error_pct"].get<double>();
        return result;
      }
      result.at("test_error_pct").get<double>();
      for (const Json& error : result.at("test_error_pct_by_statistics")) {
        if (!error.is_null()) error.get<double>();
      }
    }
  } catch (const Json::exception&) {
    user_error("{}: is not the result of a run, expected what refnorm train writes", file.string());
  }
  return result;
}

Json train_run(Recipe recipe, const fs::path& folder, bool resume) {
  if (!recipe.axes.empty())
    user_error("{}: the recipe is a sweep over {}; expected one without [sweep]", recipe.name,
               recipe.axes.front().key);
  if (recipe.arms.size() != 1) user_error("train: expected a recipe of one arm, got {}", recipe.arms.size());
  const fs::path config = folder / "config.toml";
  const bool there = fs::exists(config);
  if (there && !resume) {
    user_error("{}: already holds a run; --resume goes on with it, or choose another --out", folder.string());
  }
  // The thread count decides the bits, so a run keeps the one that it was started with.
  if (there && recipe.run.threads == 0) recipe.run.threads = read_recipe(config).run.threads;
  prepare_process(recipe);
  const std::string text = to_toml(recipe);
  if (there) check_same_recipe(config, recipe);
  if (there && fs::exists(folder / "result.json")) return read_run_result(folder / "result.json");
  if (!there) check_no_strays(folder);

  Assembly assembly(recipe);
  const bool folder_was_there = fs::exists(folder);
  make_folder(folder);
  const FolderLock lock(folder);
  if (!there) write_file(config, text);
  keep_class_names(recipe.data, *assembly.splits().train, folder);
  UnreadableLog unreadable(assembly.splits(), folder);
  train::Outcome outcome;
  try {
    outcome = train_with_progress(recipe, assembly, folder, resume, unreadable);
  } catch (const UserError&) {
    if (!there && !fs::exists(folder / "last")) discard(folder, folder_was_there);
    throw;
  }
  if (outcome.interrupted) {
    throw Interrupted(
        fmt::format("stopped after step {}; {}/last is saved, the same command with --resume goes on",
                    outcome.state.step, folder.string()));
  }
  return finish(recipe, assembly, std::move(outcome), folder, unreadable);
}

Json evaluate_run(const fs::path& folder, const EvaluationRequest& request) {
  const TrainedRun run = load_trained(folder, request.of);
  PopulationStatistics population;
  if (request.statistics.empty() || request.statistics == "population") population = run.population();
  Json result = describe(run.recipe, *run.assembly);
  result["checkpoint"] = run.checkpoint;
  result.update(test_errors(*run.assembly, run.recipe, population, request.statistics));
  if (run.recipe.data.on_error == "skip")
    result["unreadable"] = to_json(unreadable_of(run.assembly->splits()));
  return result;
}

}  // namespace refnorm::experiment
