#include <memory>

#include <fmt/format.h>

#include <refnorm/experiment/convert_weights.h>

#include "command.h"

namespace refnorm::cli {
namespace {

std::string in_words(const Json& answer) {
  std::string text = fmt::format("{}\n", answer.at("weights").at("words").get<std::string>());
  for (const Json& layer : answer.at("layers")) {
    text += fmt::format("{}: {} -> {}", layer.at("name").get<std::string>(),
                        layer.at("from").get<std::string>(), layer.at("to").get<std::string>());
    const auto list = [&](const char* key, const char* words) {
      if (layer.at(key).empty()) return;
      text += fmt::format("; {}: {}", words, fmt::join(layer.at(key).get<std::vector<std::string>>(), ", "));
    };
    list("carried", "carried over");
    list("lost", "lost");
    text += "\n";
  }
  if (!answer.at("reference").is_null())
    text += fmt::format("The reference is {} training samples\n", answer.at("reference").get<int>());
  return text + fmt::format("Wrote {}\n", answer.at("file").get<std::string>());
}

}  // namespace

Command convert_command(CLI::App& parent) {
  struct Arguments {
    std::string weights, to, data;
    experiment::ConversionRequest request;
  };
  const auto arguments = std::make_shared<Arguments>();
  experiment::ConversionRequest& request = arguments->request;
  CLI::App* app = parent.add_subcommand(
      "convert", "Put another normalization into a network whose weights come from a file");
  app->add_option("weights", arguments->weights,
                  "A safetensors file, or a state dictionary of Python's torch.save (.pth)")
      ->required()
      ->type_name("WEIGHTS");
  app->add_option("--model", request.model, "The network (refnorm list models; default: lenet5)")
      ->type_name("NAME");
  app->add_option("--norm", request.norm, "The norm that it gets (refnorm list norms; default: rbn)")
      ->type_name("SPEC");
  app->add_option(
         "--from", request.from,
         "The norm that the weights are of (default: what the file says, else bn where there are running "
         "averages)")
      ->type_name("SPEC");
  app->add_option("--to", arguments->to, "FILE.safetensors; model.weights of a recipe starts from it")
      ->required()
      ->type_name("FILE");
  app->add_option("--data", arguments->data, "Folder of a data set, from which a reference is taken")
      ->type_name("DIR");
  app->add_option("--dataset", request.data_kind, "(default: mnist)")
      ->check(CLI::IsMember({"mnist", "fashion-mnist", "folder"}))
      ->type_name("NAME");
  app->add_option("--reference", request.reference, "Samples of the reference batch (default: 128)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  app->add_option("--seed", request.seed, "Of the draw of the reference batch (default: 1)")->type_name("N");
  app->add_flag("--partial", request.partial,
                "Load what fits; what is missing or wrongly shaped is drawn as for a new network");
  return {app, [arguments] {
            arguments->request.weights = arguments->weights;
            arguments->request.to = arguments->to;
            arguments->request.data = arguments->data;
            const Json answer = experiment::convert_weights(arguments->request);
            return Answer{answer, in_words(answer)};
          }};
}

}  // namespace refnorm::cli
