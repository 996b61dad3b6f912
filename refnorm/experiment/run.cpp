#include <utility>

#include <torch/torch.h>

#include <refnorm/base/file.h>
#include <refnorm/base/lock.h>
#include <refnorm/base/progress.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/detection_predictor.h>
#include <refnorm/experiment/run.h>
#include <refnorm/experiment/test_error.h>
#include <refnorm/experiment/unreadable.h>
#include <refnorm/experiment/work.h>
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

train::Outcome train_with_progress(const Recipe& recipe, Work& work, const fs::path& folder, bool resume) {
  const train::TrainSettings settings = work.settings();
  const data::StepPlan plan = work.task().plan();
  const std::int64_t total = settings.epochs * plan.steps_per_epoch();
  train::Trainer trainer(work.task(), settings, folder);
  std::optional<Progress> progress;
  train::Hooks hooks;
  hooks.after_step = [&](const train::RunState& state, double loss) {
    if (!progress) {
      progress.emplace(recipe.arms.at(0).name, total, "steps", state.step - 1);
      for (const std::string& line : work.first_words()) progress->say(line);
    }
    for (const std::string& line : work.news()) progress->say(line);
    progress->update(state.step, fmt::format("loss {:.4f}", loss));
  };
  hooks.after_epoch = [&](const train::RunState& state) {
    if (!progress) return;
    progress->say(
        fmt::format("epoch {}/{}: {}", plan.epoch(state.step), recipe.train.epochs, work.epoch_words(state)));
  };
  return trainer.run(resume, hooks);
}

Json describe(const Recipe& recipe, const Json& setup) {
  Json result{{"recipe", recipe.name}};
  if (!recipe.note.empty()) result["note"] = recipe.note;
  result["arm"] = recipe.arms.at(0).name;
  result["norm"] = recipe.arms.at(0).norm;
  result["seed"] = recipe.run.seed;
  result["machine"] = machine_description(recipe);
  result["setup"] = setup;
  return result;
}

Json finish(const Recipe& recipe, Work& work, train::Outcome outcome, const fs::path& folder) {
  Json result = describe(recipe, work.setup());
  if (!outcome.diverged) {
    if (const auto parameter = broken_parameter(work.task().module())) {
      outcome.diverged = train::Divergence{outcome.state.step, *parameter};
    }
  }
  result["diverged"] = outcome.diverged.has_value();
  if (outcome.diverged)
    result["diverged_at"] = {{"step", outcome.diverged->step}, {"layer", outcome.diverged->layer}};
  result.update(work.results(outcome, folder));
  result["steps"] = outcome.state.step;
  result["seconds"] = outcome.state.seconds;
  // Over all processes of the run; what a resumed run repeated is not counted.
  result["images_per_second"] =
      outcome.state.training_seconds > 0
          ? static_cast<double>(outcome.state.step * recipe.train.batch_size * work.task().plan().per_step) /
                outcome.state.training_seconds
          : 0;
  for (const auto& [part, share] : outcome.shares) result["step_shares"][part] = share;
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

  const std::unique_ptr<Work> work = make_work(recipe);
  const bool folder_was_there = fs::exists(folder);
  make_folder(folder);
  const FolderLock lock(folder);
  if (!there) write_file(config, text);
  work->begin(folder);
  train::Outcome outcome;
  try {
    outcome = train_with_progress(recipe, *work, folder, resume);
  } catch (const UserError&) {
    if (!there && !fs::exists(folder / "last")) discard(folder, folder_was_there);
    throw;
  }
  if (outcome.interrupted) {
    throw Interrupted(
        fmt::format("stopped after step {}; {}/last is saved, the same command with --resume goes on",
                    outcome.state.step, folder.string()));
  }
  return finish(recipe, *work, std::move(outcome), folder);
}

Json evaluate_run(const fs::path& folder, const EvaluationRequest& request) {
  if (is_detection_run(folder)) return evaluate_detector(folder, request.of, request.statistics);
  const TrainedRun run = load_trained(folder, request.of);
  PopulationStatistics population;
  if (request.statistics.empty() || request.statistics == "population") population = run.population();
  Json result =
      describe(run.recipe, setup_description(run.recipe, run.assembly->splits(), run.assembly->sampler()));
  result["checkpoint"] = run.checkpoint;
  result.update(test_errors(*run.assembly, run.recipe, population, request.statistics));
  if (run.recipe.data.on_error == "skip")
    result["unreadable"] = to_json(unreadable_of(run.assembly->splits()));
  return result;
}

}  // namespace refnorm::experiment
