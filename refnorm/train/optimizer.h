#pragma once

#include <memory>
#include <string>

#include <torch/nn/module.h>
#include <torch/optim/sgd.h>

#include <refnorm/base/safetensors.h>
#include <refnorm/train/settings.h>

namespace refnorm::train {

/// SGD with momentum over a model's parameters: the norms' in a group of their own, with their own weight
/// decay.
class Optimizer {
 public:
  Optimizer(torch::nn::Module& model, const TrainSettings& settings);
  void set_lr(double lr);
  void zero_grad();
  void step();

  /// Momentum buffers by the name of their parameter; those that do not exist yet are left out.
  void save(Safetensors& state) const;
  /// Throws UserError for a buffer of the wrong shape or a name that is no parameter's.
  void load(const Safetensors& state, const std::string& origin);

 private:
  std::vector<std::pair<std::string, torch::Tensor>> parameters_;
  std::unique_ptr<torch::optim::SGD> sgd_;
};

}  // namespace refnorm::train
