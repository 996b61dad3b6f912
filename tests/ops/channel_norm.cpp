#include <gtest/gtest.h>
#include <torch/torch.h>

#include <refnorm/ops/channel_norm.h>

#include "tests/support/tensors.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::distance;
using refnorm::testing::gradient_gap;
using refnorm::testing::random_double;
using refnorm::testing::second_gradient_gap;
using torch::Tensor;

const std::vector<std::vector<std::int64_t>> kShapes{{5, 3},       {1, 3},          {4, 2, 7},
                                                     {3, 4, 5, 6}, {2, 3, 2, 3, 2}, {2, 17, 1, 1}};

std::vector<std::int64_t> reduced(const Tensor& x) {
  std::vector<std::int64_t> axes{0};
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

/// The definition, written with one ATen operator a step.
Tensor composed(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& weight,
                const Tensor& bias, double eps) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = x.size(1);
  return (x - mean.view(shape)) / (var.view(shape) + eps).sqrt() * weight.view(shape) + bias.view(shape);
}

TEST(ChannelMoments, EqualMeanAndBiasedVarianceOfEachChannel) {
  for (const auto& shape : kShapes) {
    const Tensor x = random_double(shape, 1);
    const Moments moments = channel_moments(x);
    EXPECT_LT(distance(moments.mean, x.mean(reduced(x))), 1e-14);
    EXPECT_LT(distance(moments.var, x.var(reduced(x), /*unbiased=*/false)), 1e-14);
  }
}

TEST(ChannelMoments, AreTheSameForEveryMemoryFormatAndView) {
  const Tensor x = random_double({4, 6, 5, 7}, 2);
  const Moments plain = channel_moments(x);
  for (const Tensor& view : {x.contiguous(torch::MemoryFormat::ChannelsLast), x.transpose(2, 3), x.flip(0),
                             torch::cat({x, x}, 3).narrow(3, 7, 7)}) {
    const Moments moments = channel_moments(view);
    EXPECT_LT(distance(moments.mean, plain.mean), 1e-14);
    EXPECT_LT(distance(moments.var, plain.var), 1e-13);
  }
}

TEST(ChannelMoments, KeepTheirDigitsFarFromZero) {
  // 1e4 + {-1, +1} alternating: mean 1e4 and variance 1, both exact in float32.
  Tensor x = torch::full({8, 3, 16, 16}, 1e4F);
  x.view(-1).slice(0, 0, x.numel(), 2).sub_(1);
  x.view(-1).slice(0, 1, x.numel(), 2).add_(1);
  const Moments moments = channel_moments(x);
  EXPECT_LT(distance(moments.mean, torch::full({3}, 1e4)), 1e-6);
  EXPECT_LT(distance(moments.var, torch::ones({3})), 1e-4);
}

TEST(ChannelMoments, AreFloatForReducedPrecision) {
  const Tensor x = random_double({4, 3, 5}, 3).to(torch::kBFloat16);
  const Moments moments = channel_moments(x);
  EXPECT_EQ(moments.mean.scalar_type(), torch::kFloat);
  EXPECT_LT(distance(moments.var, x.to(torch::kDouble).var(torch::IntArrayRef({0, 2}), false)), 1e-6);
}

TEST(ChannelMoments, HaveTheGradientsOfFiniteDifferences) {
  for (const auto& shape : kShapes) {
    const auto both = [](const std::vector<Tensor>& in) {
      const Moments moments = channel_moments(in[0]);
      return torch::cat({moments.mean, moments.var});
    };
    EXPECT_LT(gradient_gap(both, {random_double(shape, 4)}), 1e-7);
  }
}

TEST(ChannelNormalize, EqualsItsDefinition) {
  for (const auto& shape : kShapes) {
    const Tensor x = random_double(shape, 5);
    const std::int64_t c = shape[1];
    const Tensor mean = random_double({c}, 6);
    const Tensor var = random_double({c}, 7).abs();
    const Tensor weight = random_double({c}, 8);
    const Tensor bias = random_double({c}, 9);
    const Tensor y = channel_normalize(x, mean, var, weight, bias, 1e-3);
    EXPECT_LT(distance(y, composed(x, mean, var, weight, bias, 1e-3)), 1e-14);
    EXPECT_LT(distance(channel_normalize(x, mean, var, {}, {}, 1e-3),
                       composed(x, mean, var, torch::ones({c}, torch::kDouble),
                                torch::zeros({c}, torch::kDouble), 1e-3)),
              1e-14);
  }
}

TEST(ChannelNormalize, HasTheGradientsOfFiniteDifferencesInAllFiveTensors) {
  for (const auto& shape : kShapes) {
    const std::int64_t c = shape[1];
    const auto f = [](const std::vector<Tensor>& in) {
      return channel_normalize(in[0], in[1], in[2], in[3], in[4], 0.1);
    };
    const std::vector<Tensor> inputs{random_double(shape, 10), random_double({c}, 11),
                                     random_double({c}, 12).abs() + 0.5, random_double({c}, 13),
                                     random_double({c}, 14)};
    EXPECT_LT(gradient_gap(f, inputs), 1e-7);
  }
}

TEST(ChannelNormalize, HasSecondGradientsThroughMomentsToo) {
  const auto f = [](const std::vector<Tensor>& in) {
    const Moments moments = channel_moments(in[0]);
    return channel_normalize(in[0], moments.mean, moments.var, in[1], in[2], 0.1);
  };
  EXPECT_LT(second_gradient_gap(
                f, {random_double({3, 2, 2, 2}, 15), random_double({2}, 16), random_double({2}, 17)}),
            1e-5);
}

TEST(ChannelNormalize, GradientsDoNotDependOnTheMemoryFormat) {
  const Tensor base = random_double({3, 4, 5, 6}, 18);
  const auto gradient = [&](const Tensor& x) {
    const Tensor leaf = x.detach().requires_grad_(true);
    const Moments moments = channel_moments(leaf);
    channel_normalize(leaf, moments.mean, moments.var, {}, {}, 1e-5).pow(3).sum().backward();
    return leaf.grad();
  };
  EXPECT_LT(distance(gradient(base.contiguous(torch::MemoryFormat::ChannelsLast)), gradient(base)), 1e-12);
}

TEST(ChannelNormalize, KeepsFourDigitsFarFromZero) {
  const Tensor noise = random_double({16, 4, 8, 8}, 19);
  const Tensor x = (noise + 1e4).to(torch::kFloat);
  const Moments moments = channel_moments(x);
  const Tensor y = channel_normalize(x, moments.mean, moments.var, {}, {}, 1e-5);
  const Tensor exact = x.to(torch::kDouble);
  const Tensor expected = (exact - exact.mean({0, 2, 3}, true)) /
                          (exact.var(torch::IntArrayRef({0, 2, 3}), false, true) + 1e-5).sqrt();
  EXPECT_LT(distance(y, expected), 1e-4);
}

TEST(ChannelNormalize, TakesParametersOfAnotherPrecisionThanItsInput) {
  for (const auto& [input, parameter] :
       {std::pair{torch::kBFloat16, torch::kBFloat16}, {torch::kDouble, torch::kFloat}}) {
    const Tensor x = random_double({4, 3, 5}, 21).to(input).requires_grad_(true);
    const Tensor weight = torch::full({3}, 2.0, parameter).requires_grad_(true);
    const Tensor bias = torch::ones({3}, parameter).requires_grad_(true);
    const Moments moments = channel_moments(x);
    const Tensor y = channel_normalize(x, moments.mean, moments.var, weight, bias, 1e-5);
    EXPECT_EQ(y.scalar_type(), input);
    y.sum().backward();
    EXPECT_EQ(weight.grad().scalar_type(), parameter);
    EXPECT_LT(distance(bias.grad(), torch::full({3}, 20.0)), 1e-12);  // 4 x 5 positions
  }
}

TEST(ChannelNormalize, KeepsDtypeOfReducedPrecision) {
  const Tensor x = random_double({4, 3, 5, 5}, 20).to(torch::kBFloat16);
  const Moments moments = channel_moments(x);
  const Tensor y = channel_normalize(x, moments.mean, moments.var, torch::ones({3}), torch::zeros({3}), 1e-5);
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
  const Tensor exact = x.to(torch::kDouble);
  const Tensor expected = (exact - exact.mean({0, 2, 3}, true)) /
                          (exact.var(torch::IntArrayRef({0, 2, 3}), false, true) + 1e-5).sqrt();
  // Half a unit in the last of bfloat16's 8 significant bits: 2^-9 of the value.
  EXPECT_TRUE(((y.to(torch::kDouble) - expected).abs() <= expected.abs() * 0x1p-8 + 1e-6).all().item<bool>());
}

}  // namespace
}  // namespace refnorm::ops
