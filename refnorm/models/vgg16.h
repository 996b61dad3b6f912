#pragma once

#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <refnorm/models/classifier.h>
#include <refnorm/norms/cloneable.h>

namespace refnorm::models {

/// The 13 convolutions of VGG-16 (3x3, with bias), a norm and ReLU after each, maximum pooling 2x2 after
/// every second or third. Children are numbered as in torchvision's vgg16_bn, under every norm.
class VGG16FeaturesImpl : public torch::nn::Cloneable<VGG16FeaturesImpl> {
 public:
  explicit VGG16FeaturesImpl(ModelOptions given);
  void reset() override;
  /// images[N, C, H, W] -> [N, 512, H/32, W/32].
  torch::Tensor forward(const torch::Tensor& images);

  ModelOptions options;
  std::vector<torch::nn::Conv2d> convolutions;
  std::vector<NormSlot> norms;
};
TORCH_MODULE(VGG16Features);

/// Dense layers of 4096, 4096 and `classes`: children 0, 3 and 6, ReLU and dropout of one half between them.
class VGG16ClassifierImpl : public torch::nn::Cloneable<VGG16ClassifierImpl> {
 public:
  VGG16ClassifierImpl(std::int64_t inputs, std::int64_t classes);
  void reset() override;
  /// [N, inputs] -> [N, classes].
  torch::Tensor forward(const torch::Tensor& features);

  std::int64_t inputs, classes;
  torch::nn::Linear hidden1{nullptr}, hidden2{nullptr}, scores{nullptr};
};
TORCH_MODULE(VGG16Classifier);

/// VGG-16 (configuration D) for images[N, C, S, S], S = ModelOptions::side. With S = 224 it has the shapes of
/// the paper that proposed it; with smaller S the first dense layer has 512·(S/32)² inputs. Pictures of 28x28
/// become 32x32 by zeros around them, which is the first convolution's padding. Throws UserError for S below
/// 32 other than 28.
class VGG16Impl : public Cloneable<VGG16Impl, Classifier> {
 public:
  explicit VGG16Impl(ModelOptions given);
  void reset() override;
  torch::Tensor forward(const torch::Tensor& images) override;
  void initialize(std::uint64_t seed) override;
  /// torchvision's vgg16, which has no norms, numbers its convolutions otherwise than vgg16_bn.
  void adopt_names(Safetensors& weights) const override;

  ModelOptions options;
  VGG16Features features{nullptr};
  VGG16Classifier classifier{nullptr};
};
TORCH_MODULE(VGG16);

}  // namespace refnorm::models
