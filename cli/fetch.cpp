#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include <refnorm/base/interrupt.h>
#include <refnorm/data/fetch.h>

#include "command.h"

namespace refnorm::cli {

Command fetch_command(CLI::App& parent) {
  struct Arguments {
    std::string dataset, folder;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand("fetch", "Get a data set and verify it (refnorm list datasets)");
  app->add_option("dataset", arguments->dataset, "mnist or fashion-mnist")->required()->type_name("DATASET");
  app->add_option("--to", arguments->folder, "Folder for its files (default: data/DATASET)")
      ->type_name("DIR");
  return {app, [arguments] {
            catch_interrupts();
            const std::string folder =
                arguments->folder.empty() ? "data/" + arguments->dataset : arguments->folder;
            data::FetchOptions options;
            options.say = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
            const data::FetchResult result = data::fetch_dataset(arguments->dataset, folder, options);
            const Json json{{"dataset", result.dataset},
                            {"folder", result.folder.string()},
                            {"kept", result.kept},
                            {"written", result.written},
                            {"source", result.source}};
            return Answer{json, result.summary() + "\n"};
          }};
}

}  // namespace refnorm::cli
