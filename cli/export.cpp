#include <memory>

#include <fmt/format.h>

#include <refnorm/experiment/export.h>

#include "command.h"

namespace refnorm::cli {
namespace {

std::string in_words(const Json& answer) {
  const auto number = [&](const char* key) { return answer.at(key).get<double>(); };
  std::string text =
      fmt::format("Wrote {}: {:.1f} KiB", answer.at("file").get<std::string>(), number("bytes") / 1024);
  if (answer.at("folded").get<int>() > 0)
    text +=
        fmt::format("; {} normalizations folded into the layers beside them", answer.at("folded").get<int>());
  for (const Json& name : answer.at("kept"))
    text += fmt::format("\n{} could not be folded and stays as an affine map", name.get<std::string>());
  text += fmt::format(
      "\nOn {} test samples, read back from the file: largest difference of a score {:.2g} (largest score "
      "{:.3g}),\n"
      "{} predictions differ; test error {:.2f} % before, {:.2f} % after\n",
      answer.at("test_samples").get<std::int64_t>(), number("largest_difference"), number("largest_score"),
      answer.at("differing_predictions").get<std::int64_t>(),
      answer.at("test_error_pct").at("run").get<double>(),
      answer.at("test_error_pct").at("file").get<double>());
  return text;
}

}  // namespace

Command export_command(CLI::App& parent) {
  struct Arguments {
    std::string run, to;
    bool no_fold = false;
    experiment::ExportRequest request;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "export", "Write a trained run's inference network to a file that other programs load");
  app->add_option("run", arguments->run, "A run folder, as refnorm train leaves it")
      ->required()
      ->type_name("RUN");
  app->add_option("--to", arguments->to,
                  "FILE.onnx (opset 17), or FILE.safetensors (weights named as PyTorch's)")
      ->required()
      ->type_name("FILE");
  app->add_option("--statistics", arguments->request.statistics,
                  "population: Algorithm 3's; running: the moving averages of training (default: population)")
      ->check(CLI::IsMember({"population", "running"}))
      ->type_name("MODE");
  app->add_flag("--no-fold", arguments->no_fold,
                "Leave normalizations as layers of their own; a safetensors file then has weight, bias, "
                "running_mean and running_var of each");
  app->add_option("--checkpoint", arguments->request.of.checkpoint,
                  "last, or best: of the lowest validation error (default: last)")
      ->check(CLI::IsMember({"last", "best"}))
      ->type_name("last|best");
  app->add_option("--data", arguments->request.of.data_path, "Folder of the data set (default: the run's)")
      ->type_name("DIR");
  add_threads(*app, arguments->request.of.threads, "Threads to compute with (default: the run's)");
  app->footer(
      "What the file computes is compared with the run's own network on all test samples before it is put in "
      "its\n"
      "place: status 1, and no file, where they differ beyond rounding.");
  return {app, [arguments] {
            arguments->request.to = arguments->to;
            arguments->request.fold = !arguments->no_fold;
            const Json answer = experiment::export_run(arguments->run, arguments->request);
            return Answer{answer, in_words(answer)};
          }};
}

}  // namespace refnorm::cli
