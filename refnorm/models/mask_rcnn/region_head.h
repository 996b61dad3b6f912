#pragma once

#include <vector>

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <refnorm/models/mask_rcnn/options.h>

namespace refnorm::models {

/// Boxes [n, 4] of each picture as regions [R, 5]: (picture, x1, y1, x2, y2).
torch::Tensor regions_of(const std::vector<torch::Tensor>& boxes);

/// What the head says of regions, in float32.
struct RegionScores {
  torch::Tensor classes;  ///< [R, 1 + classes], logits; 0 is the background
  torch::Tensor deltas;  ///< [R, 4·(1 + classes)]: a box for each class, of which the background's is unused
};

/// The head of the C4 model: RoIAlign over the features, conv5 (a ResNet's layer4) on each region, the mean,
/// from which class and box come, and beside it a deconvolution, ReLU and a 1x1 convolution, from which a
/// mask of each class comes. Children layer4, cls_score, bbox_pred, mask_deconv, mask_bn (where heads have
/// norms), mask_logits.
class RegionHeadImpl : public torch::nn::Cloneable<RegionHeadImpl> {
 public:
  explicit RegionHeadImpl(MaskRcnnOptions given);
  void reset() override;
  /// Freezes conv5's norms if the options say so.
  void freeze_norms();
  /// features[N, C, H, W], regions [R, 5] -> conv5 of each, [R, C5, 7, 7].
  torch::Tensor forward(const torch::Tensor& features, const torch::Tensor& regions);
  RegionScores score(const torch::Tensor& conv5);
  /// [R, 1 + classes, 14, 14], logits in float32.
  torch::Tensor masks(const torch::Tensor& conv5);
  std::int64_t out_channels() const;

  MaskRcnnOptions options;
  torch::nn::Sequential layer4{nullptr};
  torch::nn::Linear cls_score{nullptr}, bbox_pred{nullptr};
  torch::nn::ConvTranspose2d mask_deconv{nullptr};
  NormSlot mask_norm;
  torch::nn::Conv2d mask_logits{nullptr};
};
TORCH_MODULE(RegionHead);

}  // namespace refnorm::models
