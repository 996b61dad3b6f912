#include <memory>

#include <fmt/format.h>

#include <refnorm/base/interrupt.h>
#include <refnorm/experiment/compare.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/report/report.h>

#include "command.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string recipe, out, device;
  std::vector<std::string> overrides;
  std::int64_t threads = 0;
  experiment::CompareOptions options;
};

bool some_failed(const Json& result) {
  for (const Json& arm : result.at("arms")) {
    for (const Json& run : arm.at("runs")) {
      if (run.contains("failed")) return true;
    }
  }
  return false;
}

Answer compare(const Arguments& arguments) {
  experiment::Recipe recipe = experiment::read_recipe(arguments.recipe, arguments.overrides);
  if (arguments.threads > 0) recipe.run.threads = arguments.threads;
  if (!arguments.device.empty()) recipe.run.device = arguments.device;
  const Json result = experiment::compare(recipe, arguments.out, arguments.options);
  std::string text = report::terminal_table(arguments.out);
  text += fmt::format("\nThe report is {}/report.html\n", arguments.out);
  if (some_failed(result))
    text += "Some runs failed; their last words stand in the report, and --resume tries them again.\n";
  return {result, text, some_failed(result) ? 1 : 0};
}

}  // namespace

Command compare_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "compare", "Train every arm of a recipe with several seeds, then report which is best");
  app->add_option("recipe", arguments->recipe, "A recipe (TOML), such as recipes/lenet5-mnist.toml")
      ->required()
      ->type_name("RECIPE");
  add_seeds_and_jobs(*app, arguments->options.seeds,
                     "Seeds for each arm; an interval needs at least 2, a verdict at least 6 (default: 3)",
                     arguments->options.jobs);
  add_out(*app, arguments->out, "DIR", "Folder for the comparison; must not hold one already");
  app->add_flag("--resume", arguments->options.resume,
                "Go on with the comparison in DIR: finished runs stay, others continue; also adds seeds");
  add_set(*app, arguments->overrides);
  add_threads(*app, arguments->threads, "Threads of each run (default: cores / jobs)");
  add_device(*app, arguments->device);
  app->footer(
      "DIR gets a run folder for each arm and seed, result.json, table.md, curves.svg and report.html, all "
      "of them\n"
      "up to date after each run. Small networks use a machine best as one-thread runs side by side.\n"
      "Exit status 1 where a run failed; a run that diverged is a result.");
  return {app, [arguments] {
            check_started_alone("compare");
            catch_interrupts();
            return compare(*arguments);
          }};
}

}  // namespace refnorm::cli
