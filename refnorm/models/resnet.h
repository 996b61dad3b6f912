#pragma once

#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <refnorm/models/classifier.h>
#include <refnorm/norms/cloneable.h>

namespace refnorm::models {

/// What a residual block is made of.
struct ResidualBlockOptions {
  std::string place;  ///< its name in the network, "layer1.0", for ops::tap
  NormFactory norm;
  std::int64_t in_channels = 64;
  std::int64_t width = 64;  ///< channels of the first convolution
  std::int64_t stride = 1;
  bool bottleneck = true;  ///< 1x1, 3x3 (strided), 1x1 to four times the width; else 3x3 (strided), 3x3

  std::int64_t out_channels() const { return bottleneck ? 4 * width : width; }
  /// Whether the block's input has another shape than its output.
  bool projects() const { return stride != 1 || in_channels != out_channels(); }
};

/// The strided 1x1 convolution and its norm beside a block that changes the shape: children "0" and "1".
class ProjectionImpl : public torch::nn::Cloneable<ProjectionImpl> {
 public:
  explicit ProjectionImpl(ResidualBlockOptions given);
  void reset() override;
  /// x[N, in, H, W] -> [N, out, H/stride, W/stride]; `shortcut_of_x` as in ResidualBlock.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& shortcut_of_x);

  ResidualBlockOptions options;
  torch::nn::Conv2d conv{nullptr};
  NormSlot norm;
};
TORCH_MODULE(Projection);

/// y = relu(x' + F(x)): F is convolutions, each with its norm and all but the last with ReLU; x' is x, or its
/// projection. Children conv1, bn1, conv2, bn2, of a bottleneck conv3, bn3 too, and downsample.
class ResidualBlockImpl : public torch::nn::Cloneable<ResidualBlockImpl> {
 public:
  explicit ResidualBlockImpl(ResidualBlockOptions given);
  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) { return forward_from(x, {}); }
  /// The same for an x that is the output of a block whose input and shortcut, unprojected, was
  /// `shortcut_of_x`: x is then computed once more by the backward pass instead of kept.
  torch::Tensor forward_from(const torch::Tensor& x, const torch::Tensor& shortcut_of_x);
  /// The norm whose output is added to x'.
  NormLayer& last_norm() const;

  ResidualBlockOptions options;
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  NormSlot norm1, norm2, norm3;
  Projection downsample{nullptr};
};
TORCH_MODULE(ResidualBlock);

/// Channels of what stage 1 … 4 makes; of stage 0, the stem: 64. Throws UserError for an unknown depth.
std::int64_t stage_channels(std::int64_t depth, std::int64_t number);

/// Stage 1 … 4 of a ResNet: its residual blocks, called layer1.0 and so on in ops::tap. All stages but the
/// first halve height and width.
torch::nn::Sequential residual_stage(std::int64_t depth, std::int64_t number, const NormFactory& norm);

/// Of a stage's outputs every second one is not kept for the backward pass but computed again from the one
/// before it. `shortcut_of_x` as in ResidualBlock: of x, and afterwards of the result.
torch::Tensor through_stage(torch::nn::Sequential stage, torch::Tensor x, torch::Tensor& shortcut_of_x);

/// Weight 0 in the last norm of each residual block, where it has one: every block then starts as x'.
void zero_residual_branches(torch::nn::Module& model);

/// A ResNet's first convolution, 7x7 with stride 2.
torch::nn::Conv2d stem_convolution(std::int64_t in_channels);

/// ResNet-18, -34, -50 or -101 for images[N, C, H, W]: conv1 (64, 7x7, stride 2), bn1, ReLU, 3x3 pooling of
/// stride 2, layer1 … layer4 of residual blocks, the mean over H and W, fc. Names are torchvision's, under
/// every norm. Convolutions have no bias.
class ResNetImpl : public Cloneable<ResNetImpl, Classifier> {
 public:
  /// Throws UserError for another depth.
  ResNetImpl(std::int64_t depth_given, ModelOptions given);
  void reset() override;
  torch::Tensor forward(const torch::Tensor& images) override;
  /// draw_he(), and zero_residual_branches() by the options.
  void initialize(std::uint64_t seed) override;

  std::int64_t depth;
  ModelOptions options;
  torch::nn::Conv2d conv1{nullptr};
  NormSlot norm1;
  torch::nn::Sequential layer1{nullptr}, layer2{nullptr}, layer3{nullptr}, layer4{nullptr};
  torch::nn::Linear fc{nullptr};
};
TORCH_MODULE(ResNet);

}  // namespace refnorm::models
