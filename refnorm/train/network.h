#pragma once

#include <functional>
#include <memory>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace refnorm::train {

/// What the trainer needs of a network; it knows no architecture.
struct Network {
  std::shared_ptr<torch::nn::Module> module;
  std::function<torch::Tensor(const torch::Tensor&)> forward;  ///< images[N, C, H, W] -> scores[N, classes]
};

}  // namespace refnorm::train
