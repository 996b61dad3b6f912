#include <memory>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/evaluate_detections.h>
#include <refnorm/experiment/evaluate_file.h>
#include <refnorm/experiment/run.h>

#include "command.h"
#include "errors_text.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string what, data_kind;
  experiment::EvaluationRequest request;
  experiment::DetectionEvaluation detection;
};

/// What a detector wrote beside what there was to be found.
Answer evaluate_detections(const Arguments& arguments, const CLI::App& app) {
  for (const char* option : {"--annotations", "--detections"}) {
    if (app.count(option) == 0) user_error("{}: is missing, expected it with the other file", option);
  }
  for (const char* option : {"run", "--data", "--dataset", "--statistics", "--checkpoint", "--device"}) {
    if (app.count(option) > 0)
      user_error("{}: is of runs and networks; --annotations and --detections are evaluated by themselves",
                 option);
  }
  experiment::DetectionEvaluation request = arguments.detection;
  const std::int64_t threads = arguments.request.of.threads;
  request.threads = threads > 0 ? threads : experiment::core_count();
  const Json answer = experiment::evaluate_detection_files(request);
  return {answer, experiment::detection_figures_text(answer)};
}

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
      "Test error of a trained run, by running, population or batch statistics; or of an exported file; or "
      "COCO's twelve figures of detections");
  app->add_option("run", arguments->what,
                  "A run folder, as refnorm train leaves it, or what refnorm export wrote")
      ->type_name("RUN|FILE");
  app->add_option("--annotations", arguments->detection.annotations,
                  "The objects that there are, as COCO's instances_*.json has them; instead of a run")
      ->type_name("FILE");
  app->add_option("--detections", arguments->detection.detections,
                  "What was found, in COCO's results format: with boxes, masks or both, which are evaluated")
      ->type_name("FILE");
  app->add_flag("--per-category", arguments->detection.by_category,
                "Of detections: each category's figures, too");
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
  return {
      app, [arguments, app] {
        if (app->count("--annotations") + app->count("--detections") > 0)
          return evaluate_detections(*arguments, *app);
        if (arguments->what.empty())
          user_error("run: is missing, expected a run folder or a file, or --annotations and --detections");
        if (arguments->detection.by_category)
          user_error("--per-category: is of detections, with --annotations and --detections");
        if (std::filesystem::is_regular_file(arguments->what)) return evaluate_file(*arguments, *app);
        if (!arguments->data_kind.empty())
          user_error("--dataset: is of files; the run {} knows its own", arguments->what);
        const Json result = experiment::evaluate_run(arguments->what, arguments->request);
        return Answer{result, errors_in_words(result)};
      }};
}

}  // namespace refnorm::cli
