#pragma once

#include <memory>
#include <string>

#include <torch/torch.h>

#include <refnorm/deploy/model_description.h>
#include <refnorm/deploy/trace.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>

namespace refnorm::deploy::testing {

inline const std::string kNorms[] = {"none",     "bn",        "rbn",     "rbn:fixed", "rbn:moving,weight=0.3",
                                     "rbn:live", "brn",       "ln",      "in",        "gn:2",
                                     "sn",       "frozen_bn", "ghost:4", "vbn"};

inline ModelDescription description() {
  ModelDescription description;
  description.channels = 1;
  description.height = description.width = 28;
  description.mean = {0.13};
  description.std = {0.31};
  for (int i = 0; i < 10; ++i) description.classes.push_back(std::to_string(i));
  description.model = "lenet5";
  return description;
}

/// LeNet-5 whose parameters and statistics are those of nothing in particular.
inline std::shared_ptr<models::Classifier> network(const std::string& norm) {
  torch::manual_seed(5);
  auto model = models::make_model("lenet5", {norm_factory(NormSpec::parse(norm)), 1, 10});
  model->initialize(5);
  const torch::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) {
    if (item.key().starts_with("norm")) item.value().uniform_(0.5, 1.5);
  }
  ReferenceKeeper keeper(*model, torch::randn({16, 1, 28, 28}));
  keeper.refresh();
  for (int i = 0; i < 3; ++i) keeper.forward_only(torch::randn({8, 1, 28, 28}) + 0.3);
  keeper.prepare_evaluation();
  model->eval();
  return model;
}

inline Graph graph_of(const std::shared_ptr<models::Classifier>& model) {
  return trace(ModelView(*model, [&](const torch::Tensor& x) { return model->forward(x); }),
               torch::zeros({2, 1, 28, 28}));
}

}  // namespace refnorm::deploy::testing
