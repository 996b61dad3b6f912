#include <memory>

#include <fmt/format.h>

#include <refnorm/experiment/run.h>

#include "command.h"
#include "errors_text.h"

namespace refnorm::cli {

Command eval_command(CLI::App& parent) {
  struct Arguments {
    std::string run;
    experiment::EvaluationRequest request;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "eval", "Test error of a trained run, by running, population or batch statistics");
  app->add_option("run", arguments->run, "A run folder, as refnorm train leaves it")
      ->required()
      ->type_name("RUN");
  app->add_option("--data", arguments->request.of.data_path, "Folder of the data set (default: the run's)")
      ->type_name("DIR");
  app->add_option(
         "--statistics", arguments->request.statistics,
         "running: the moving averages of training; population: Algorithm 3's; batch: each test batch's own "
         "(default: all three)")
      ->check(CLI::IsMember({"running", "population", "batch"}))
      ->type_name("MODE");
  app->add_option("--checkpoint", arguments->request.of.checkpoint,
                  "last, or best: of the lowest validation error (default: last)")
      ->check(CLI::IsMember({"last", "best"}))
      ->type_name("last|best");
  add_threads(*app, arguments->request.of.threads, "Threads to compute with (default: the run's)");
  add_device(*app, arguments->request.of.device);
  return {app, [arguments] {
            const Json result = experiment::evaluate_run(arguments->run, arguments->request);
            return Answer{result, errors_in_words(result)};
          }};
}

}  // namespace refnorm::cli
