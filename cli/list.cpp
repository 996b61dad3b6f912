#include <memory>

#include <fmt/format.h>

#include <refnorm/data/domains.h>
#include <refnorm/data/fetch.h>
#include <refnorm/data/sampler.h>
#include <refnorm/experiment/detection_build.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/norm_spec.h>

#include "command.h"

namespace refnorm::cli {
namespace {

Answer norms() {
  Answer answer{Json::array(), "", 0};
  for (const NormKind& kind : norm_kinds()) {
    Json options = Json::array();
    answer.text +=
        fmt::format("{}  {}\n    {}\n    source: {}\n", kind.name, kind.title, kind.formula, kind.source);
    for (const NormOption& option : kind.options) {
      options.push_back({{"option", option.name}, {"what", option.what}});
      answer.text += fmt::format("    {:<26}{}\n", option.name, option.what);
    }
    answer.text += "\n";
    answer.json.push_back({{"name", kind.name},
                           {"title", kind.title},
                           {"formula", kind.formula},
                           {"source", kind.source},
                           {"options", options}});
  }
  answer.text += "Write options behind a colon: rbn:fixed,weight=0.1\n";
  return answer;
}

template <class Kinds>
Answer named(const Kinds& kinds) {
  Answer answer{Json::array(), "", 0};
  for (const auto& kind : kinds) {
    answer.json.push_back({{"name", kind.name}, {"what", kind.what}});
    answer.text += fmt::format("{}  {}\n", kind.name, kind.what);
  }
  return answer;
}

Answer models() {
  Answer answer = named(refnorm::models::model_kinds());
  const Answer detectors = named(experiment::detector_kinds());
  for (const Json& one : detectors.json) answer.json.push_back(one);
  answer.text += detectors.text;
  return answer;
}

Answer datasets() {
  Answer answer{Json::array(), "", 0};
  for (const auto& set : data::known_datasets()) {
    answer.json.push_back(
        {{"name", set.name}, {"what", set.description}, {"origin", set.origin}, {"license", set.license}});
    answer.text += fmt::format("{}  {}\n    origin: {}; license: {}\n", set.name, set.description, set.origin,
                               set.license);
  }
  const std::string what =
      "pictures of your own, or ImageNet's: PATH/train/CLASS/PICTURE and PATH/val/CLASS/PICTURE";
  answer.json.push_back(
      {{"name", "folder"}, {"what", what}, {"origin", "yours, nothing to fetch"}, {"license", "theirs"}});
  answer.text += fmt::format("folder  {}\n    origin: yours, there is nothing to fetch\n", what);
  const std::string coco =
      "pictures with objects, as COCO's lie on a disk: PATH/annotations/instances_NAME.json and "
      "PATH/NAME/PICTURE";
  answer.json.push_back({{"name", "coco"},
                         {"what", coco},
                         {"origin", "COCO's or yours, nothing to fetch"},
                         {"license", "theirs"}});
  answer.text += fmt::format("coco  {}\n    origin: COCO's or yours, there is nothing to fetch\n", coco);
  return answer;
}

}  // namespace

Command list_command(CLI::App& parent) {
  const auto what = std::make_shared<std::string>();
  CLI::App* app = parent.add_subcommand("list", "What there is: norms, models, datasets, domains, samplers");
  app->add_option("what", *what, "norms, models, datasets, domains or samplers")
      ->required()
      ->check(CLI::IsMember({"norms", "models", "datasets", "domains", "samplers"}))
      ->type_name("WHAT");
  return {app, [what] {
            if (*what == "norms") return norms();
            if (*what == "models") return models();
            if (*what == "datasets") return datasets();
            if (*what == "domains") return named(data::domain_kinds());
            return named(data::sampler_kinds());
          }};
}

}  // namespace refnorm::cli
