#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <refnorm/models/mask_rcnn/region_head.h>
#include <refnorm/models/resnet.h>
#include <refnorm/norms/batch_statistics.h>
#include <refnorm/ops/tap.h>

namespace refnorm::models {
namespace {

using ops::tap;
using torch::Tensor;

}  // namespace

Tensor regions_of(const std::vector<Tensor>& boxes) {
  std::vector<Tensor> regions;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const Tensor picture =
        torch::full({boxes[i].size(0), 1}, static_cast<double>(i), boxes[i].options().dtype(torch::kFloat));
    regions.push_back(torch::cat({picture, boxes[i].detach().to(torch::kFloat)}, 1));
  }
  return regions.empty() ? torch::empty({0, 5}) : torch::cat(regions);
}

RegionHeadImpl::RegionHeadImpl(MaskRcnnOptions given) : options(std::move(given)) {
  options.regions.grid.scale = 1 / options.proposals.anchors.stride;
  reset();
}

std::int64_t RegionHeadImpl::out_channels() const {
  return stage_channels(options.depth, 4);
}

void RegionHeadImpl::reset() {
  const std::int64_t scores = 1 + options.classes;
  const std::int64_t width = options.regions.mask_channels;
  const bool normalized = static_cast<bool>(options.head_norm);
  const NormFactory& norm = options.region_norm ? options.region_norm : options.norm;
  layer4 = register_module("layer4", residual_stage(options.depth, 4, norm));
  cls_score = register_module("cls_score", torch::nn::Linear(out_channels(), scores));
  bbox_pred = register_module("bbox_pred", torch::nn::Linear(out_channels(), 4 * scores));
  mask_deconv = register_module(
      "mask_deconv",
      torch::nn::ConvTranspose2d(
          torch::nn::ConvTranspose2dOptions(out_channels(), width, 2).stride(2).bias(!normalized)));
  if (normalized) mask_norm.fill(*this, "mask_bn", options.head_norm, width, 2);
  mask_logits = register_module("mask_logits", torch::nn::Conv2d(width, scores, 1));
  freeze_norms();
}

void RegionHeadImpl::freeze_norms() {
  if (options.frozen_norms) freeze(*layer4);
}

Tensor RegionHeadImpl::forward(const Tensor& features, const Tensor& regions) {
  const Tensor x = tap("head.roi_align", ops::roi_align(features, regions, options.regions.grid));
  Tensor shortcut_of_x;
  return through_stage(layer4, x, shortcut_of_x);
}

RegionScores RegionHeadImpl::score(const Tensor& conv5) {
  const Tensor mean = conv5.mean({2, 3});
  return {tap("head.cls_score", cls_score(mean)).to(torch::kFloat),
          tap("head.bbox_pred", bbox_pred(mean)).to(torch::kFloat)};
}

Tensor RegionHeadImpl::masks(const Tensor& conv5) {
  Tensor x = tap("head.mask_deconv", mask_deconv(conv5));
  x = options.head_norm ? tap("head.mask_bn", norm_act(mask_norm, x)) : torch::relu(x);
  return tap("head.mask_logits", mask_logits(x)).to(torch::kFloat);
}

}  // namespace refnorm::models
