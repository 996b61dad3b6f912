#pragma once

#include <string>
#include <vector>

#include <torch/nn/module.h>

#include <refnorm/base/safetensors.h>
#include <refnorm/train/settings.h>

namespace refnorm::train {

/// SGD with momentum over a model's parameters (torch::optim::SGD's, without dampening), with a weight decay
/// of their own for the norms'.
class Optimizer {
 public:
  Optimizer(torch::nn::Module& model, const TrainSettings& settings);
  void set_lr(double lr) { lr_ = lr; }
  void zero_grad();
  void step();

  /// Momentum buffers by the name of their parameter; those that do not exist yet are left out.
  void save(Safetensors& state) const;
  /// Throws UserError for a buffer of the wrong shape or a name that is no parameter's.
  void load(const Safetensors& state, const std::string& origin);

 private:
  struct Parameter {
    std::string name;
    torch::Tensor value;
    double decay;
    torch::Tensor momentum{};  ///< in memory as `value` is
  };

  std::vector<Parameter> parameters_;
  double lr_, momentum_;
  bool nesterov_;
};

}  // namespace refnorm::train
