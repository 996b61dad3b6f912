#include <array>
#include <map>
#include <utility>

#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/models/initialization.h>
#include <refnorm/models/resnet.h>
#include <refnorm/ops/max_pool.h>
#include <refnorm/ops/recompute.h>
#include <refnorm/ops/tap.h>

namespace refnorm::models {
namespace {

using ops::tap;
using torch::Tensor;

/// Blocks of each stage; whether they are bottlenecks (He et al. 2016, table 1).
struct Plan {
  std::array<std::int64_t, 4> blocks;
  bool bottleneck;
};

Plan plan_of(std::int64_t depth) {
  static const std::map<std::int64_t, Plan> plans{{18, {{2, 2, 2, 2}, false}},
                                                  {34, {{3, 4, 6, 3}, false}},
                                                  {50, {{3, 4, 6, 3}, true}},
                                                  {101, {{3, 4, 23, 3}, true}}};
  const auto found = plans.find(depth);
  if (found == plans.end()) user_error("resnet: depth {}, expected 18, 34, 50 or 101", depth);
  return found->second;
}

torch::nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel,
                              std::int64_t stride = 1) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

/// The convolution `out` of a block's output x, whose shortcut is there where x need not be kept.
Tensor after(const Tensor& x, const Tensor& shortcut_of_x, const Tensor& out) {
  return shortcut_of_x.defined() ? ops::recompute_input(out, x, shortcut_of_x) : out;
}

}  // namespace

ProjectionImpl::ProjectionImpl(ResidualBlockOptions given) : options(std::move(given)) {
  reset();
}

void ProjectionImpl::reset() {
  conv = register_module("0", convolution(options.in_channels, options.out_channels(), 1, options.stride));
  norm.fill(*this, "1", options.norm, options.out_channels(), 2);
}

Tensor ProjectionImpl::forward(const Tensor& x, const Tensor& shortcut_of_x) {
  const std::string name = options.place + ".downsample.";
  const Tensor y = tap(name + "0", after(x, shortcut_of_x, conv(x)));
  return tap(name + "1", norm_act(norm, y, {}, /*relu=*/false));
}

ResidualBlockImpl::ResidualBlockImpl(ResidualBlockOptions given) : options(std::move(given)) {
  reset();
}

void ResidualBlockImpl::reset() {
  const auto& [place, norm, in, width, stride, bottleneck] = options;
  conv1 =
      register_module("conv1", bottleneck ? convolution(in, width, 1) : convolution(in, width, 3, stride));
  norm1.fill(*this, "bn1", norm, width, 2);
  conv2 = register_module("conv2", convolution(width, width, 3, bottleneck ? stride : 1));
  norm2.fill(*this, "bn2", norm, width, 2);
  if (bottleneck) {
    conv3 = register_module("conv3", convolution(width, options.out_channels(), 1));
    norm3.fill(*this, "bn3", norm, options.out_channels(), 2);
  }
  if (options.projects()) downsample = register_module("downsample", Projection(options));
}

Tensor ResidualBlockImpl::forward_from(const Tensor& x, const Tensor& shortcut_of_x) {
  const auto name = [&](const char* layer) { return options.place + "." + layer; };
  const Tensor shortcut = downsample.is_empty() ? x : downsample(x, shortcut_of_x);
  // What lies between two convolutions of a block is not kept for the backward pass.
  Tensor y = tap(name("conv1"), after(x, shortcut_of_x, conv1(x)));
  y = tap(name("bn1"), norm_act(norm1, y));
  y = tap(name("conv2"), ops::recompute_input(conv2(y), y));
  if (!options.bottleneck) return tap(name("bn2"), norm_act(norm2, y, shortcut));
  y = tap(name("bn2"), norm_act(norm2, y));
  y = tap(name("conv3"), ops::recompute_input(conv3(y), y));
  return tap(name("bn3"), norm_act(norm3, y, shortcut));
}

NormLayer& ResidualBlockImpl::last_norm() const {
  return (options.bottleneck ? norm3 : norm2).layer();
}

std::int64_t stage_channels(std::int64_t depth, std::int64_t number) {
  const std::int64_t expansion = plan_of(depth).bottleneck ? 4 : 1;
  return number == 0 ? 64 : (std::int64_t{64} << (number - 1)) * expansion;
}

torch::nn::Sequential residual_stage(std::int64_t depth, std::int64_t number, const NormFactory& norm) {
  const Plan plan = plan_of(depth);
  ResidualBlockOptions block;
  block.norm = norm;
  block.in_channels = stage_channels(depth, number - 1);
  block.width = std::int64_t{64} << (number - 1);
  block.stride = number == 1 ? 1 : 2;
  block.bottleneck = plan.bottleneck;
  torch::nn::Sequential stage;
  for (std::int64_t i = 0; i < plan.blocks[number - 1]; ++i) {
    block.place = fmt::format("layer{}.{}", number, i);
    stage->push_back(ResidualBlock(block));
    block.in_channels = block.out_channels();
    block.stride = 1;
  }
  return stage;
}

Tensor through_stage(torch::nn::Sequential stage, Tensor x, Tensor& shortcut_of_x) {
  for (std::size_t i = 0; i < stage->size(); ++i) {
    const Tensor input = x;
    x = stage->at<ResidualBlockImpl>(i).forward_from(input, shortcut_of_x);
    shortcut_of_x = i % 2 == 1 ? input : Tensor();
  }
  return x;
}

torch::nn::Conv2d stem_convolution(std::int64_t in_channels) {
  return convolution(in_channels, 64, 7, 2);
}

ResNetImpl::ResNetImpl(std::int64_t depth_given, ModelOptions given)
    : depth(depth_given), options(std::move(given)) {
  reset();
}

void ResNetImpl::reset() {
  const auto stage = [&](std::int64_t number) {
    return register_module(fmt::format("layer{}", number), residual_stage(depth, number, options.norm));
  };
  conv1 = register_module("conv1", stem_convolution(options.in_channels));
  norm1.fill(*this, "bn1", options.norm, 64, 2);
  layer1 = stage(1);
  layer2 = stage(2);
  layer3 = stage(3);
  layer4 = stage(4);
  fc = register_module("fc", torch::nn::Linear(stage_channels(depth, 4), options.classes));
}

Tensor ResNetImpl::forward(const Tensor& images) {
  if (images.dim() != 4 || images.size(1) != options.in_channels) {
    user_error("resnet{}: expected images of shape [N, {}, H, W], got [{}]", depth, options.in_channels,
               fmt::join(images.sizes(), ", "));
  }
  Tensor x = tap("bn1", norm_act(norm1, tap("conv1", conv1(images))));
  x = ops::max_pool_3x3(x);
  Tensor shortcut_of_x;
  for (const auto& stage : {layer1, layer2, layer3, layer4}) x = through_stage(stage, x, shortcut_of_x);
  return tap("fc", fc(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1)));
}

void ResNetImpl::initialize(std::uint64_t seed) {
  draw_he(*this, seed);
  if (options.zero_init_residual) zero_residual_branches(*this);
}

void zero_residual_branches(torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, block] : find_layers<ResidualBlockImpl>(model)) {
    auto parameters = block->last_norm().named_parameters(/*recurse=*/false);
    if (auto* weight = parameters.find("weight")) weight->zero_();
  }
}

}  // namespace refnorm::models
