#include <memory>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/experiment/evaluate_file.h>
#include <refnorm/experiment/run.h>

#include "command.h"
#include "errors_text.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string what, data_kind;
  experiment::EvaluationRequest request;
};

Answer evaluate_file(const Arguments& arguments, const CLI::App& app) {
  for (const char* option : {"--statistics", "--checkpoint", "--device"}) {
    if (app.count(option) > 0)
      user_error("{}: is of run folders; {} is a file, with one network and its statistics in it", option,
                 arguments.what);
  }
  experiment::FileEvaluationRequest request;
  if (!arguments.data_kind.empty()) request.data_kind = arguments.data_kind;
  request.data_path =
      arguments.request.of.data_path.empty() ? "data/" + request.data_kind : arguments.request.of.data_path;
  request.threads = arguments.request.of.threads;
  const Json answer = experiment::evaluate_file(arguments.what, request);
  return {answer, fmt::format("Test error: {:.2f} % of {} samples, computed by {}\n",
                              answer.at("test_error_pct").get<double>(),
                              answer.at("test_samples").get<std::int64_t>(),
                              answer.at("computed_by").get<std::string>())};
}

}  // namespace

Command eval_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "eval",
      "Test error of a trained run, by running, population or batch statistics; or of an exported file");
  app->add_option("run", arguments->what,
                  "A run folder, as refnorm train leaves it, or what refnorm export wrote")
      ->required()
      ->type_name("RUN|FILE");
  app->add_option("--data", arguments->request.of.data_path,
                  "Folder of the data set (default: the run's; for a file data/ and its name)")
      ->type_name("DIR");
  app->add_option("--dataset", arguments->data_kind, "The data set's name, for a file (default: mnist)")
      ->check(CLI::IsMember({"mnist", "fashion-mnist", "folder"}))
      ->type_name("NAME");
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
  return {app, [arguments, app] {
            if (std::filesystem::is_regular_file(arguments->what)) return evaluate_file(*arguments, *app);
            if (!arguments->data_kind.empty())
              user_error("--dataset: is of files; the run {} knows its own", arguments->what);
            const Json result = experiment::evaluate_run(arguments->what, arguments->request);
            return Answer{result, errors_in_words(result)};
          }};
}

}  // namespace refnorm::cli
