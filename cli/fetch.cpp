#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include <refnorm/base/interrupt.h>
#include <refnorm/data/fetch.h>

#include "command.h"

namespace refnorm::cli {
namespace {

struct Arguments {
  std::string dataset, folder, from;
  data::SceneSetOptions scenes;
};

/// How scenes are drawn.
std::vector<CLI::Option*> add_scene_options(CLI::App& app, data::SceneSetOptions& scenes) {
  constexpr std::int64_t kMany = 10'000'000;
  std::vector<CLI::Option*> added;
  const auto number = [&](const char* name, std::int64_t& value, std::int64_t low, std::int64_t high,
                          const char* what) {
    added.push_back(app.add_option(name, value, what)
                        ->check(CLI::Range(low, high))
                        ->type_name("N")
                        ->capture_default_str());
  };
  number("--train", scenes.train, 1, kMany, "Pictures to train with");
  number("--val", scenes.val, 1, kMany, "Pictures to validate with");
  number("--side", scenes.side, 64, 4096, "Largest width in pixels");
  number("--seed", scenes.seed, 0, std::numeric_limits<std::int64_t>::max(),
         "Another one draws other scenes");
  added.push_back(
      app.add_flag("--held-out", scenes.held_out, "Validate with things that are not trained with"));
  for (CLI::Option* option : added) option->group("Scenes (tuxpaint-coco)");
  return added;
}

Answer run(const Arguments& arguments, bool draws) {
  catch_interrupts();
  const std::string folder = arguments.folder.empty() ? "data/" + arguments.dataset : arguments.folder;
  data::FetchOptions options;
  options.say = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  options.from = arguments.from;
  if (draws) options.scenes = arguments.scenes;
  const data::FetchResult result = data::fetch_dataset(arguments.dataset, folder, options);
  const Json json{{"dataset", result.dataset},
                  {"folder", result.folder.string()},
                  {"kept", result.kept},
                  {"written", result.written},
                  {"source", result.source}};
  return Answer{json, result.summary() + "\n"};
}

}  // namespace

Command fetch_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app =
      parent.add_subcommand("fetch", "Get a data set and verify it, or make it (refnorm list datasets)");
  app->add_option("dataset", arguments->dataset, "mnist, fashion-mnist, tuxpaint or tuxpaint-coco")
      ->required()
      ->type_name("DATASET");
  app->add_option("--to", arguments->folder, "Folder for its files (default: data/DATASET)")
      ->type_name("DIR");
  app->add_option("--from", arguments->from, "Folder to take the files or stamps from, and no other source")
      ->type_name("DIR");
  const auto scenes = add_scene_options(*app, arguments->scenes);
  return {app, [arguments, scenes] {
            return run(*arguments, std::any_of(scenes.begin(), scenes.end(),
                                               [](const CLI::Option* option) { return !option->empty(); }));
          }};
}

}  // namespace refnorm::cli
