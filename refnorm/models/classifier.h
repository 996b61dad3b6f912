#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include <refnorm/base/safetensors.h>
#include <refnorm/norms/norm_layer.h>

namespace refnorm::models {

/// A network that scores classes.
class Classifier : public torch::nn::Module {
 public:
  /// images[N, C, H, W] -> scores[N, classes]. Each layer's output passes through ops::tap under the layer's
  /// name. Throws UserError for images of a shape that the network does not take.
  virtual torch::Tensor forward(const torch::Tensor& images) = 0;

  /// Draws the weights as the network's authors do. Each parameter has a stream of its own, named after it:
  /// two networks that differ in their norms start from the same weights.
  virtual void initialize(std::uint64_t seed) = 0;

  /// Turns the names of weights that are published for this architecture into the network's own, where they
  /// differ.
  virtual void adopt_names(Safetensors& /*weights*/) const {}
};

struct ModelOptions {
  NormFactory norm;
  std::int64_t in_channels = 1;
  std::int64_t classes = 10;
  std::int64_t side = 0;  ///< height and width of the pictures; 0: ModelKind::side
  /// Of networks with residual blocks: initialize() gives each block's last norm weight 0, else 1.
  bool zero_init_residual = true;
};

struct ModelKind {
  std::string name, what, source;
  std::int64_t side = 0, channels = 0, classes = 0;  ///< what it is made for
};

std::vector<ModelKind> model_kinds();

/// Throws UserError, with the nearest known name, for an unknown kind.
ModelKind model_kind(const std::string& name);

/// Throws UserError for an unknown kind, and for pictures that the kind cannot take.
std::shared_ptr<Classifier> make_model(const std::string& kind, const ModelOptions& options);

}  // namespace refnorm::models
