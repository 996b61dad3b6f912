#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include <refnorm/norms/norm_layer.h>

namespace refnorm::models {

/// A network that scores classes.
class Classifier : public virtual torch::nn::Module {
 public:
  /// images[N, C, H, W] -> scores[N, classes]. Each layer's output passes through ops::tap under the layer's
  /// name.
  virtual torch::Tensor forward(const torch::Tensor& images) = 0;
};

struct ModelOptions {
  NormFactory norm;
  std::int64_t in_channels = 1;
  std::int64_t classes = 10;
};

struct ModelKind {
  std::string name, what, source;
};

std::vector<ModelKind> model_kinds();

/// Throws UserError, with the nearest known name, for an unknown kind.
std::shared_ptr<Classifier> make_model(const std::string& kind, const ModelOptions& options);

/// Draws the weight and bias of each convolution and dense layer from U(−1/sqrt(f), 1/sqrt(f)), f the values
/// that one output sees (PyTorch's default). Each parameter has a stream of its own, named after it: two
/// networks that differ in their norms start from the same weights. Norm layers keep weight 1, bias 0.
void initialize(torch::nn::Module& model, std::uint64_t seed);

}  // namespace refnorm::models
