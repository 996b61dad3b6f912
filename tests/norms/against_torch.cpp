#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/utils.h>

#include <refnorm/norms/group_norm.h>
#include <refnorm/norms/instance_norm.h>
#include <refnorm/norms/layer_norm.h>
#include <refnorm/norms/reference_batch_norm.h>

#include "tests/support/tensors.h"

// Ours against LibTorch's own layers: output, all gradients, every type and memory format.

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::random_double;
using torch::Tensor;

struct Outcome {
  Tensor y, x_grad, weight_grad, bias_grad;
};

template <class Layer>
Outcome run(Layer& layer, const Tensor& x, const Tensor& upstream) {
  const Tensor in = x.detach().clone(torch::MemoryFormat::Preserve).requires_grad_(true);
  layer->zero_grad();
  const Tensor y = layer->forward(in);
  y.backward(upstream);
  return {y.detach(), in.grad(), layer->weight.grad(), layer->bias.grad()};
}

template <class Layer>
void set_affine(Layer& layer) {
  const torch::NoGradGuard no_grad;
  layer->weight.copy_(random_double(layer->weight.sizes(), 30) + 1);
  layer->bias.copy_(random_double(layer->bias.sizes(), 31));
}

/// The rounding of a type's own unit, relative to 1.
double unit(torch::ScalarType type) {
  return type == torch::kDouble ? 0x1p-53 : type == torch::kFloat ? 0x1p-24 : 0x1p-8;
}

/// In float64 both are exact but for rounding. In float32 and bfloat16 each is compared with LibTorch's
/// float64 result for the same numbers: an output of ours may err by its own rounding, and by the sums'
/// behind it. Sums of n values in the type's arithmetic (float32 for bfloat16, too) may lose sqrt(n) units.
template <class Theirs, class Ours>
void expect_same(Theirs theirs, Ours ours, const std::vector<std::int64_t>& shape) {
  theirs->to(torch::kDouble);
  set_affine(theirs);
  for (const auto type : {torch::kDouble, torch::kFloat, torch::kBFloat16}) {
    for (const bool channels_last : {false, true}) {
      if (channels_last && shape.size() < 4) continue;
      Tensor x = (random_double(shape, 40) * 2 + 1).to(type);
      if (channels_last) {
        x = x.contiguous(shape.size() == 4 ? torch::MemoryFormat::ChannelsLast
                                           : torch::MemoryFormat::ChannelsLast3d);
      }
      const Tensor upstream = random_double(shape, 41).to(type);
      ours->to(type == torch::kDouble ? torch::kDouble : torch::kFloat);
      set_affine(ours);
      // Where parameters are float32, theirs are the same rounded numbers.
      {
        const torch::NoGradGuard no_grad;
        theirs->weight.copy_(ours->weight.to(torch::kDouble));
        theirs->bias.copy_(ours->bias.to(torch::kDouble));
      }
      const Outcome exact = run(theirs, x.to(torch::kDouble), upstream.to(torch::kDouble));
      const Outcome got = run(ours, x, upstream);
      EXPECT_EQ(got.y.scalar_type(), type);
      EXPECT_TRUE(got.y.is_contiguous(x.suggest_memory_format()));
      EXPECT_TRUE(got.x_grad.is_contiguous(x.suggest_memory_format()));
      const auto n = static_cast<double>(x.numel());
      const double sums = std::sqrt(n) * unit(type == torch::kBFloat16 ? torch::kFloat : type);
      EXPECT_LT(distance(got.y, exact.y), 2 * unit(type) + 8 * sums) << shape << type;
      EXPECT_LT(distance(got.x_grad, exact.x_grad), 2 * unit(type) + 8 * sums) << shape << type;
      EXPECT_LT(distance(got.weight_grad, exact.weight_grad), 8 * sums) << shape << type;
      EXPECT_LT(distance(got.bias_grad, exact.bias_grad), 8 * sums) << shape << type;
    }
  }
}

TEST(AgainstTorch, BatchNorm) {
  expect_same(torch::nn::BatchNorm1d(3), BatchNorm1d(3), {5, 3});
  expect_same(torch::nn::BatchNorm1d(3), BatchNorm1d(3), {5, 3, 7});
  expect_same(torch::nn::BatchNorm2d(6), BatchNorm2d(6), {4, 6, 5, 7});
  expect_same(torch::nn::BatchNorm2d(40), BatchNorm2d(40), {9, 40, 17, 15});
  expect_same(torch::nn::BatchNorm3d(2), BatchNorm3d(2), {3, 2, 2, 3, 4});
}

TEST(AgainstTorch, InstanceNorm) {
  const auto theirs = [](std::int64_t c) { return torch::nn::InstanceNormOptions(c).affine(true); };
  const auto ours = [](std::int64_t c) { return InstanceNormOptions(c).affine(true); };
  expect_same(torch::nn::InstanceNorm1d(theirs(3)), InstanceNorm1d(ours(3)), {5, 3, 7});
  expect_same(torch::nn::InstanceNorm2d(theirs(6)), InstanceNorm2d(ours(6)), {4, 6, 5, 7});
  expect_same(torch::nn::InstanceNorm2d(theirs(40)), InstanceNorm2d(ours(40)), {9, 40, 17, 15});
  expect_same(torch::nn::InstanceNorm3d(theirs(2)), InstanceNorm3d(ours(2)), {3, 2, 2, 3, 4});
}

TEST(AgainstTorch, GroupNorm) {
  expect_same(torch::nn::GroupNorm(2, 6), GroupNorm(2, 6), {5, 6});
  expect_same(torch::nn::GroupNorm(3, 6), GroupNorm(3, 6), {5, 6, 7});
  expect_same(torch::nn::GroupNorm(2, 6), GroupNorm(2, 6), {4, 6, 5, 7});
  expect_same(torch::nn::GroupNorm(8, 40), GroupNorm(8, 40), {9, 40, 17, 15});
  expect_same(torch::nn::GroupNorm(1, 4), GroupNorm(1, 4), {3, 4, 2, 3, 4});
}

TEST(AgainstTorch, LayerNormOverTheLastAxes) {
  expect_same(torch::nn::LayerNorm(torch::nn::LayerNormOptions({8})), LayerNorm(LayerNormOptions({8})),
              {5, 3, 8});
  expect_same(torch::nn::LayerNorm(torch::nn::LayerNormOptions({3, 8})), LayerNorm(LayerNormOptions({3, 8})),
              {5, 3, 8});
  expect_same(torch::nn::LayerNorm(torch::nn::LayerNormOptions({200})), LayerNorm(LayerNormOptions({200})),
              {70, 200});
}

// Over C, H, W of a sample it is LibTorch's layer norm with weight and bias spread over the positions.
TEST(AgainstTorch, LayerNormOverChannelsAndPositions) {
  LayerNorm2d ours(4);
  ours->to(torch::kDouble);
  set_affine(ours);
  const Tensor a = random_double({3, 4, 5, 6}, 42).requires_grad_(true);
  const Tensor b = a.detach().clone().requires_grad_(true);
  const Tensor weight = ours->weight.detach().clone().requires_grad_(true);
  const Tensor bias = ours->bias.detach().clone().requires_grad_(true);
  const auto spread = [](const Tensor& values) {
    return values.view({4, 1, 1}).expand({4, 5, 6}).contiguous();
  };
  const Tensor plain = torch::layer_norm(b, {4, 5, 6}, spread(weight), spread(bias), 1e-5);
  const Tensor y = ours->forward(a);
  EXPECT_LT(distance(y, plain), 1e-14);
  const Tensor upstream = random_double({3, 4, 5, 6}, 43);
  y.backward(upstream);
  plain.backward(upstream);
  EXPECT_LT(distance(a.grad(), b.grad()), 1e-13);
  EXPECT_LT(distance(ours->weight.grad(), weight.grad()), 1e-13);
  EXPECT_LT(distance(ours->bias.grad(), bias.grad()), 1e-13);
}

}  // namespace
}  // namespace refnorm
