#include <chrono>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/launch.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/experiment/run.h>

#include "command.h"
#include "errors_text.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string recipe, arm, out, device;
  std::vector<std::string> overrides;
  std::int64_t seed = -1, threads = 0, processes = 0, patience = train::kPeerTimeout;
  bool resume = false;
};

experiment::Recipe one_armed_recipe(const Arguments& arguments) {
  experiment::Recipe recipe = experiment::read_recipe(arguments.recipe, arguments.overrides);
  recipe.arms = {experiment::find_arm(recipe, arguments.arm)};
  if (arguments.seed >= 0) recipe.run.seed = arguments.seed;
  if (arguments.threads > 0) recipe.run.threads = arguments.threads;
  if (!arguments.device.empty()) recipe.run.device = arguments.device;
  return recipe;
}

std::string in_words(const Json& result, const std::string& folder) {
  if (result.at("diverged").get<bool>()) {
    const Json& at = result.at("diverged_at");
    if (at.contains("given_up"))
      return fmt::format("{} was given up at step {}: its loss is {}; {}/metrics.jsonl has the way there\n",
                         result.at("arm").get<std::string>(), at.at("step").get<std::int64_t>(),
                         at.at("given_up").get<std::string>(), folder);
    return fmt::format(
        "{} diverged: the loss of step {} was not finite, first in '{}'; {}/metrics.jsonl has the way "
        "there\n",
        result.at("arm").get<std::string>(), at.at("step").get<std::int64_t>(),
        at.at("layer").get<std::string>(), folder);
  }
  return fmt::format("{}, seed {}: {} steps in {}, {:.0f} images/s\n{}The run is in {}\n",
                     result.at("arm").get<std::string>(), result.at("seed").get<std::int64_t>(),
                     result.at("steps").get<std::int64_t>(),
                     readable_duration(result.at("seconds").get<double>()),
                     result.at("images_per_second").get<double>(), errors_in_words(result), folder);
}

/// The same command for one of several processes.
std::vector<std::string> words_of(const Arguments& arguments) {
  std::vector<std::string> words{"train", arguments.recipe, "--out", arguments.out};
  const auto add = [&](const std::string& option, const std::string& value) {
    words.push_back(option);
    words.push_back(value);
  };
  if (!arguments.arm.empty()) add("--arm", arguments.arm);
  if (arguments.seed >= 0) add("--seed", std::to_string(arguments.seed));
  for (const std::string& text : arguments.overrides) add("--set", text);
  if (arguments.threads > 0) add("--threads", std::to_string(arguments.threads));
  if (!arguments.device.empty()) add("--device", arguments.device);
  add("--peer-timeout", std::to_string(arguments.patience));
  if (arguments.resume) words.push_back("--resume");
  return words;
}

/// This process's place, if somebody started it as one of several.
train::Place place_of(const Arguments& arguments) {
  const train::Place place = train::place_from(train::from_environment, /*slurm=*/arguments.processes == 0);
  if (place.size > 1 && arguments.processes > 0 && arguments.processes != place.size)
    user_error("--nproc: is {}, but {} has started {} processes; expected the one or the other",
               arguments.processes, place.launcher, place.size);
  return place;
}

Answer train_arm(const Arguments& arguments) {
  const train::Place place = place_of(arguments);
  const experiment::Recipe recipe = one_armed_recipe(arguments);
  Json result;
  const std::int64_t processes =
      place.size > 1 ? 1
                     : experiment::processes_of(recipe, arguments.processes, arguments.out, arguments.resume);
  if (processes > 1) {
    experiment::launch(processes, words_of(arguments), arguments.out, recipe.run.threads);
    result = experiment::read_run_result(std::filesystem::path(arguments.out) / "result.json");
  } else {
    result = experiment::train_run(recipe, arguments.out, arguments.resume, place,
                                   std::chrono::seconds(arguments.patience));
  }
  if (result.is_null()) return {.silent = true};
  return {result, in_words(result, arguments.out), result.at("diverged").get<bool>() ? 1 : 0};
}

}  // namespace

Command train_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand("train", "Train one arm of a recipe and evaluate it on the test set");
  app->add_option("recipe", arguments->recipe,
                  "A recipe (TOML), such as recipes/lenet5-mnist.toml, or a run's config.toml")
      ->required()
      ->type_name("RECIPE");
  app->add_option("--arm", arguments->arm, "Which arm (needed where the recipe has several)")
      ->type_name("NAME");
  app->add_option("--seed", arguments->seed,
                  "Seed of weights, data order and reference batch (default: the recipe's, else 1)")
      ->check(CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max()))
      ->type_name("N");
  add_out(*app, arguments->out, "RUN", "Folder for the run; must not hold one already");
  app->add_flag("--resume", arguments->resume,
                "Go on from the last checkpoint in RUN, to the same bits as an uninterrupted run; start "
                "where there is none");
  add_set(*app, arguments->overrides);
  add_threads(*app, arguments->threads,
              "Threads of the run (default: the recipe's, else as many as its steps are worth)");
  add_device(*app, arguments->device);
  app->add_option("--nproc", arguments->processes,
                  "Processes of this machine that train together, each on its share of the batches (default: "
                  "the recipe's run.processes, else 1)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  app->add_option("--peer-timeout", arguments->patience,
                  "Seconds without a word from another process after which the run ends (default: 300)")
      ->check(CLI::Range(1, 1000000))
      ->type_name("SECONDS");
  app->footer(
      "A run folder is described in docs/files.md. Ctrl-C stops after the step, saves, and says how to go "
      "on.\n"
      "A run that diverges (its loss is no longer finite) exits with status 1; result.json says where.\n"
      "Started by torchrun, srun or mpirun, a process finds its place among the others in their variables.");
  return {app, [arguments] {
            catch_interrupts();
            return train_arm(*arguments);
          }};
}

}  // namespace refnorm::cli
