#include <chrono>
#include <utility>

#include <torch/nn/module.h>

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
#include <refnorm/train/processes/group.h>
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
  if (!folder_was_there) {
    fs::remove_all(folder, ignored);
    return;
  }
  for (const char* name : {"config.toml", "metrics.jsonl", "classes.json", "categories.json"})
    fs::remove(folder / name, ignored);
}

/// The first parameter that is no longer finite, which the loss of the next step would have shown.
std::optional<std::string> broken_parameter(const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) {
    if (item.value().defined() && !torch::isfinite(item.value()).all().item<bool>()) return item.key();
  }
  return std::nullopt;
}

train::Outcome train_with_progress(const Recipe& recipe, Work& work, const fs::path& folder, bool resume,
                                   const std::shared_ptr<train::Group>& group) {
  const train::TrainSettings settings = work.settings();
  const data::StepPlan& plan = work.task().plan();
  train::Trainer trainer(work.task(), settings, folder, group, recipe.reference.per_process);
  std::optional<Progress> progress;
  train::Hooks hooks;
  if (!group->leads()) return trainer.run(resume);
  hooks.after_step = [&](const train::RunState& state, double loss) {
    if (!progress) {
      progress.emplace(recipe.arms.at(0).name, plan.steps(settings.epochs), "steps", state.step - 1);
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

using Clock = std::chrono::steady_clock;

/// `began`: when this process turned to the run, less what it has trained since.
Json finish(const Recipe& recipe, Work& work, const train::Outcome& outcome, const fs::path& folder,
            Clock::time_point began) {
  Json result = describe(recipe, work.setup());
  result["diverged"] = outcome.diverged.has_value();
  if (outcome.diverged) {
    Json& at = result["diverged_at"];
    at["step"] = outcome.diverged->step;
    if (outcome.diverged->given_up.empty())
      at["layer"] = outcome.diverged->layer;
    else
      at["given_up"] = outcome.diverged->given_up;
  }
  result.update(work.results(outcome, folder));
  result["steps"] = outcome.state.step;
  result["seconds"] = outcome.state.seconds;
  // Over all processes of the run; what a resumed run repeated is not counted.
  result["images_per_second"] =
      outcome.state.training_seconds > 0
          ? static_cast<double>(work.task().plan().batches_before(outcome.state.step) *
                                recipe.train.batch_size) /
                outcome.state.training_seconds
          : 0;
  for (const data::StepPlan::Change& change : work.task().plan().changes)
    result["batches_a_step"].push_back({{"from_step", change.step + 1}, {"batches", change.per_step}});
  for (const auto& [part, share] : outcome.shares) result["step_shares"][part] = share;
  result["total_seconds"] =
      outcome.state.seconds + std::chrono::duration<double>(Clock::now() - began).count();
  clear_leftovers(folder);
  write_json(folder / "result.json", result);
  return result;
}

}  // namespace

void check_same_recipe(const fs::path& config, const Recipe& wanted) {
  Recipe before = read_recipe(config);
  before.note = wanted.note;  // it says how the recipe was come by; what counts are the values
  before.data.workers = wanted.data.workers;  // any number gives the same batches
  // A run may go on with another number of processes, and then of threads.
  if (processes_of(before, 0, {}, false) != processes_of(wanted, 0, {}, false))
    before.run.threads = wanted.run.threads;
  before.run.processes = wanted.run.processes;
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
      const Json& at = result.at("diverged_at");
      at.at("step").get<std::int64_t>();
      at.at(at.contains("given_up") ? "given_up" : "layer").get<std::string>();
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

namespace {

/// What the first process found in the folder, and the others go by.
struct Found {
  bool there = false, complete = false;
};

Found look_into(const fs::path& folder, bool resume, Recipe& recipe, train::Group& group) {
  Found found;
  torch::Tensor told = torch::zeros({3}, torch::kLong);
  if (group.leads()) {
    const fs::path config = folder / "config.toml";
    found.there = fs::exists(config);
    if (found.there && !resume) {
      user_error("{}: already holds a run; --resume goes on with it, or choose another --out",
                 folder.string());
    }
    // The thread count decides the bits, so a run keeps the one that it was started with, unless it goes on
    // with another number of processes.
    if (found.there && recipe.run.threads == 0) {
      const Recipe before = read_recipe(config);
      if (processes_of(before, 0, {}, false) == recipe.run.processes) recipe.run.threads = before.run.threads;
    }
    told = torch::tensor(
        {std::int64_t{found.there}, std::int64_t{fs::exists(folder / "result.json")}, recipe.run.threads},
        torch::kLong);
  }
  group.broadcast(told);
  found.there = told[0].item<std::int64_t>() != 0;
  found.complete = found.there && told[1].item<std::int64_t>() != 0;
  recipe.run.threads = told[2].item<std::int64_t>();
  return found;
}

std::string without_threads(Recipe recipe) {
  recipe.run.threads = 0;  // machines may differ
  return to_toml(recipe);
}

/// Every process was started by hand, or by a launcher, with the same words.
void check_same_everywhere(const Recipe& recipe, train::Group& group) {
  const std::vector<std::string> own = split(without_threads(recipe), '\n');
  const std::vector<std::string> first = split(group.broadcast(without_threads(recipe)), '\n');
  for (std::size_t i = 0; i < std::max(own.size(), first.size()); ++i) {
    const std::string here = i < own.size() ? own[i] : "";
    const std::string there = i < first.size() ? first[i] : "";
    if (here != there)
      user_error("process {}: was started with '{}', process 0 with '{}'; expected the same recipe",
                 group.rank(), printable(here), printable(there));
  }
}

/// What the first process alone checks and writes; it holds the lock from here on.
std::unique_ptr<FolderLock> open_folder(const fs::path& folder, const Found& found, const Recipe& recipe) {
  make_folder(folder);
  auto lock = std::make_unique<FolderLock>(folder);
  const fs::path config = folder / "config.toml";
  // Where a run goes on with another number of processes, that is what there is to see.
  if (!found.there || read_recipe(config).run.processes != recipe.run.processes)
    write_file(config, to_toml(recipe));
  return lock;
}

Json train_in_group(Recipe recipe, const fs::path& folder, bool resume,
                    const std::shared_ptr<train::Group>& group) {
  Clock::time_point began = Clock::now();
  const Found found = look_into(folder, resume, recipe, *group);
  prepare_process(recipe, group->place().local_size);
  check_same_everywhere(recipe, *group);
  if (group->leads() && found.there) check_same_recipe(folder / "config.toml", recipe);
  if (found.complete) return group->leads() ? read_run_result(folder / "result.json") : Json();
  if (group->leads() && !found.there) check_no_strays(folder);

  const std::unique_ptr<Work> work = make_work(recipe, group);
  const bool folder_was_there = fs::exists(folder);
  std::unique_ptr<FolderLock> lock;
  if (group->leads()) {
    lock = open_folder(folder, found, recipe);
    work->begin(folder);
  }
  train::Outcome outcome;
  const Clock::time_point before = Clock::now();
  try {
    outcome = train_with_progress(recipe, *work, folder, resume, group);
    began += Clock::now() - before;
  } catch (const UserError&) {
    if (group->leads() && !found.there && !fs::exists(folder / "last")) discard(folder, folder_was_there);
    throw;
  }
  if (outcome.interrupted) {
    throw Interrupted(
        fmt::format("stopped after step {}; {}/last is saved, the same command with --resume goes on",
                    outcome.state.step, folder.string()));
  }
  if (!outcome.diverged) {
    if (const auto parameter = broken_parameter(work->task().module()))
      outcome.diverged = train::Divergence{outcome.state.step, *parameter};
  }
  if (group->leads()) return finish(recipe, *work, outcome, folder, began);
  work->assist(outcome, folder);
  return {};
}

/// The first line: c10's messages carry a backtrace below it.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::int64_t processes_of(const Recipe& recipe, std::int64_t asked, const fs::path& folder, bool resume) {
  if (asked > 0) return asked;
  if (recipe.run.processes > 0) return recipe.run.processes;
  const fs::path config = folder / "config.toml";
  if (!resume || !fs::exists(config)) return 1;
  return std::max<std::int64_t>(1, read_recipe(config).run.processes);
}

Json train_run(Recipe recipe, const fs::path& folder, bool resume, const train::Place& place,
               std::chrono::seconds patience) {
  if (!recipe.axes.empty())
    user_error("{}: the recipe is a sweep over {}; expected one without [sweep]", recipe.name,
               recipe.axes.front().key);
  if (recipe.arms.size() != 1) user_error("train: expected a recipe of one arm, got {}", recipe.arms.size());
  recipe.run.processes = place.size;
  const auto group = train::Group::join(place, patience, torch::Device(recipe.run.device));
  try {
    return train_in_group(std::move(recipe), folder, resume, group);
  } catch (const train::PeerLost& error) {
    if (!train::has_checkpoint(folder / "last")) throw;
    throw train::PeerLost(fmt::format("{}; {}/last is saved, the same command with --resume goes on",
                                      error.what(), folder.string()));
  } catch (const std::exception& error) {
    group->leave_word(first_line(error.what()));
    throw;
  }
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
    result["unreadable"] = unreadable_of(sources_of(run.assembly->splits()));
  return result;
}

}  // namespace refnorm::experiment
