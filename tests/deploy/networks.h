#pragma once

#include <memory>
#include <string>

#include <torch/nn.h>
#include <torch/utils.h>

#include <refnorm/deploy/model_description.h>
#include <refnorm/deploy/trace.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>

namespace refnorm::deploy::testing {

inline const std::string kNorms[] = {"none",     "bn",        "rbn",     "rbn:fixed", "rbn:moving,weight=0.3",
                                     "rbn:live", "brn",       "ln",      "in",        "gn:2",
                                     "sn",       "frozen_bn", "ghost:4", "vbn"};

/// Which network, for which pictures and how many classes.
struct Subject {
  std::string kind = "lenet5";
  std::int64_t channels = 1, side = 28, classes = 10;

  torch::Tensor images(std::int64_t count) const { return torch::randn({count, channels, side, side}); }
};

inline const Subject kLarger[] = {{"resnet18", 3, 64, 5}, {"resnet50", 3, 64, 5}, {"vgg16", 3, 32, 5}};

inline ModelDescription description(const Subject& of = {}) {
  ModelDescription description;
  description.channels = of.channels;
  description.height = description.width = of.side;
  description.mean.assign(static_cast<std::size_t>(of.channels), 0.13);
  description.std.assign(static_cast<std::size_t>(of.channels), 0.31);
  for (int i = 0; i < of.classes; ++i) description.classes.push_back(std::to_string(i));
  description.model = of.kind;
  return description;
}

/// A network whose parameters and statistics are those of nothing in particular.
inline std::shared_ptr<models::Classifier> network(const std::string& norm, const Subject& of = {}) {
  torch::manual_seed(5);
  auto model =
      models::make_model(of.kind, {norm_factory(NormSpec::parse(norm)), of.channels, of.classes, of.side});
  model->initialize(5);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, layer] : find_layers<NormLayer>(*model)) {
    for (auto& parameter : layer->parameters()) parameter.uniform_(0.5, 1.5);
  }
  ReferenceKeeper keeper(*model, of.images(16));
  keeper.refresh();
  for (int i = 0; i < 3; ++i) keeper.forward_only(of.images(8) + 0.3);
  keeper.prepare_evaluation();
  model->eval();
  return model;
}

inline Graph graph_of(const std::shared_ptr<models::Classifier>& model, const Subject& of = {}) {
  return trace(ModelView(*model, [&](const torch::Tensor& x) { return model->forward(x); }),
               torch::zeros_like(of.images(2)));
}

}  // namespace refnorm::deploy::testing
