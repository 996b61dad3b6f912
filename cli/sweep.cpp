#include <memory>

#include <fmt/format.h>

#include <refnorm/base/interrupt.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/experiment/sweep.h>
#include <refnorm/report/report.h>

#include "command.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string recipe, out, device;
  std::vector<std::string> overrides;
  std::int64_t threads = 0;
  experiment::SweepOptions options;
};

/// To type again: the program's name, and words with spaces in quotes.
std::string command_line(const Arguments& arguments) {
  std::vector<std::string> words{
      "refnorm", "sweep",      arguments.recipe, "--seeds", std::to_string(arguments.options.seeds),
      "--out",   arguments.out};
  for (const std::string& value : arguments.overrides) {
    words.emplace_back("--set");
    words.push_back(value.find_first_of(" \"'[](){}*?;&|<>$") == std::string::npos ? value
                                                                                   : "'" + value + "'");
  }
  return join(words, " ");
}

bool some_failed(const Json& result) {
  for (const Json& setting : result.at("settings")) {
    for (const Json& arm : setting.at("arms")) {
      for (const Json& run : arm.at("runs")) {
        if (run.contains("failed")) return true;
      }
    }
  }
  return false;
}

Answer sweep(Arguments arguments) {
  experiment::Recipe recipe = experiment::read_recipe(arguments.recipe, arguments.overrides);
  if (arguments.threads > 0) recipe.run.threads = arguments.threads;
  if (!arguments.device.empty()) recipe.run.device = arguments.device;
  arguments.options.command = command_line(arguments);
  const Json result = experiment::sweep(recipe, arguments.out, arguments.options);
  std::string text = report::terminal_table(arguments.out);
  text += fmt::format("\nThe report is {}/report.html\n", arguments.out);
  if (some_failed(result))
    text += "Some runs failed; their last words stand in the report, and --resume tries them again.\n";
  return {result, text, some_failed(result) ? 1 : 0};
}

}  // namespace

Command sweep_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "sweep", "Compare a recipe's arms in many settings, such as samplers and batch sizes");
  app->add_option("recipe", arguments->recipe,
                  "A recipe (TOML) with [sweep], such as recipes/lenet5-mnist-lab.toml")
      ->required()
      ->type_name("RECIPE");
  add_seeds_and_jobs(
      *app, arguments->options.seeds,
      "Seeds for each arm in each setting; fewer than 6 cannot tell two arms apart (default: 10)",
      arguments->options.jobs);
  add_out(*app, arguments->out, "DIR", "Folder for the sweep; must not hold one already");
  app->add_flag("--resume", arguments->options.resume,
                "Go on with the sweep in DIR: finished runs stay, others continue; also adds seeds");
  add_set(*app, arguments->overrides);
  add_threads(*app, arguments->threads, "Threads of each run (default: cores / jobs)");
  add_device(*app, arguments->device);
  app->footer(
      "Where the recipe has tune.lr, each arm's learning rate is chosen in each setting on validation "
      "samples.\n"
      "DIR gets a folder for each setting, result.json, table.md and report.html, up to date after each "
      "run.\n"
      "Exit status 1 where a run failed; a run that diverged is a result.");
  return {app, [arguments] {
            check_started_alone("sweep");
            catch_interrupts();
            return sweep(*arguments);
          }};
}

}  // namespace refnorm::cli
