#pragma once

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <refnorm/models/classifier.h>
#include <refnorm/norms/cloneable.h>

namespace refnorm::models {

/// LeNet-5 for images[N, C, 28, 28]: conv1 (6, 5x5, padding 2), pool, conv2 (16, 5x5), pool, fc1 (120), fc2
/// (84), fc3 (classes); maximum pooling 2x2 and ReLU; norm1 … norm4 before each ReLU. Layers keep their bias
/// under every norm, so that the networks of a comparison have the same parameters. Throws UserError where
/// ModelOptions::side is another one.
class LeNet5Impl : public Cloneable<LeNet5Impl, Classifier> {
 public:
  explicit LeNet5Impl(ModelOptions given);
  void reset() override;
  torch::Tensor forward(const torch::Tensor& images) override;
  /// draw_uniform().
  void initialize(std::uint64_t seed) override;

  ModelOptions options;
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::Linear fc1{nullptr}, fc2{nullptr}, fc3{nullptr};
  NormSlot norm1, norm2, norm3, norm4;
};
TORCH_MODULE(LeNet5);

}  // namespace refnorm::models
