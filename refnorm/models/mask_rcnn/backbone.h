#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <refnorm/models/mask_rcnn/options.h>

namespace refnorm::models {

/// A ResNet up to its third stage (conv4): images[N, C, H, W] -> features of stride 16. Children conv1, bn1,
/// layer1, layer2 and layer3, as in ResNet.
class C4BackboneImpl : public torch::nn::Cloneable<C4BackboneImpl> {
 public:
  explicit C4BackboneImpl(MaskRcnnOptions given);
  void reset() override;
  torch::Tensor forward(const torch::Tensor& images);
  /// Freezes what the options say; again where norms were put in others' places, or got statistics.
  void freeze_stages();
  std::int64_t out_channels() const;

  MaskRcnnOptions options;
  torch::nn::Conv2d conv1{nullptr};
  NormSlot norm1;
  torch::nn::Sequential layer1{nullptr}, layer2{nullptr}, layer3{nullptr};
};
TORCH_MODULE(C4Backbone);

}  // namespace refnorm::models
