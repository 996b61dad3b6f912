#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>

#include <refnorm/base/error.h>
#include <refnorm/models/mask_rcnn/backbone.h>
#include <refnorm/models/resnet.h>
#include <refnorm/norms/batch_statistics.h>
#include <refnorm/ops/max_pool.h>
#include <refnorm/ops/tap.h>

namespace refnorm::models {
namespace {

using ops::tap;
using torch::Tensor;

void freeze_weights(torch::nn::Module& module) {
  for (Tensor& parameter : module.parameters()) parameter.requires_grad_(false);
}

}  // namespace

C4BackboneImpl::C4BackboneImpl(MaskRcnnOptions given) : options(std::move(given)) {
  if (options.frozen_stages < 0 || options.frozen_stages > 4)
    user_error("mask_rcnn: frozen_stages is {}, expected 0 to 4", options.frozen_stages);
  reset();
}

void C4BackboneImpl::reset() {
  const auto stage = [&](std::int64_t number) {
    return register_module(fmt::format("layer{}", number),
                           residual_stage(options.depth, number, options.norm));
  };
  conv1 = register_module("conv1", stem_convolution(options.in_channels));
  norm1.fill(*this, "bn1", options.norm, stage_channels(options.depth, 0), 2);
  layer1 = stage(1);
  layer2 = stage(2);
  layer3 = stage(3);
  freeze_stages();
}

void C4BackboneImpl::freeze_stages() {
  if (options.frozen_norms) freeze(*this);
  if (options.frozen_stages > 0) {
    freeze_weights(*conv1);
    freeze(norm1.layer());
  }
  const std::array<torch::nn::Sequential, 3> stages{layer1, layer2, layer3};
  for (std::int64_t i = 0; i + 1 < options.frozen_stages; ++i) {
    torch::nn::Sequential stage = stages[i];
    freeze_weights(*stage);
    freeze(*stage);
  }
}

std::int64_t C4BackboneImpl::out_channels() const {
  return stage_channels(options.depth, 3);
}

Tensor C4BackboneImpl::forward(const Tensor& images) {
  if (images.dim() != 4 || images.size(1) != options.in_channels) {
    user_error("mask_rcnn: expected images of shape [N, {}, H, W], got [{}]", options.in_channels,
               fmt::join(images.sizes(), ", "));
  }
  Tensor x = tap("backbone.bn1", norm_act(norm1, tap("backbone.conv1", conv1(images))));
  x = ops::max_pool_3x3(x);
  Tensor shortcut_of_x;
  for (const auto& stage : {layer1, layer2, layer3}) x = through_stage(stage, x, shortcut_of_x);
  return x;
}

}  // namespace refnorm::models
