#include <limits>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <refnorm/ops/max_pool.h>
#include <refnorm/ops/max_pool_rows.h>

#include "tests/support/tensors.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::distance;
using refnorm::testing::random_double;
using torch::Tensor;

// LibTorch's own operator, bit by bit: widths around every vector length, odd ones, ties, single rows.
TEST(MaxPool, EqualsTorchsOwnToTheBit) {
  for (const std::int64_t width : {2, 3, 7, 8, 9, 10, 15, 16, 17, 28, 31, 32, 33, 64, 70}) {
    for (const std::int64_t height : {2, 3, 8}) {
      // A few distinct values, so that windows have ties.
      const Tensor x = (random_double({3, 5, height, width}, 1) * 2).round().to(torch::kFloat);
      const Tensor a = x.clone().requires_grad_(true);
      const Tensor b = x.clone().requires_grad_(true);
      const Tensor ours = max_pool_2x2(a);
      const Tensor theirs = torch::max_pool2d(b, 2);
      ASSERT_TRUE(torch::equal(ours, theirs)) << height << "x" << width;
      const Tensor upstream = random_double(theirs.sizes(), 2).to(torch::kFloat);
      ours.backward(upstream);
      theirs.backward(upstream);
      EXPECT_TRUE(torch::equal(a.grad(), b.grad())) << height << "x" << width;
    }
  }
}

TEST(MaxPool, LetsWhatIsNotFiniteThrough) {
  Tensor x = random_double({1, 1, 4, 16}, 3).to(torch::kFloat);
  x[0][0][1][2] = std::numeric_limits<float>::quiet_NaN();
  x[0][0][2][5] = -std::numeric_limits<float>::infinity();
  x[0][0][3][9] = std::numeric_limits<float>::infinity();
  const Tensor ours = max_pool_2x2(x);
  EXPECT_TRUE(torch::allclose(ours, torch::max_pool2d(x, 2), 0, 0, /*equal_nan=*/true));
  EXPECT_TRUE(torch::isnan(ours[0][0][0][1]).item<bool>());
}

TEST(MaxPool, TakesEveryOtherTypeAndLayout) {
  const Tensor x = random_double({2, 6, 9, 10}, 4);
  EXPECT_TRUE(torch::equal(max_pool_2x2(x), torch::max_pool2d(x, 2)));
  const Tensor strided = x.to(torch::kFloat).contiguous(torch::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(torch::equal(max_pool_2x2(strided), torch::max_pool2d(strided, 2)));
  EXPECT_EQ(max_pool_2x2(torch::empty({0, 3, 4, 4})).sizes().vec(), (std::vector<std::int64_t>{0, 3, 2, 2}));
}

// The gradient is linear in dy: differentiated again it is pooled by the same choice.
TEST(MaxPool, HasASecondDerivative) {
  const Tensor x = random_double({1, 2, 5, 9}, 5).to(torch::kFloat).requires_grad_(true);
  const Tensor dy = random_double({1, 2, 2, 4}, 6).to(torch::kFloat).requires_grad_(true);
  const auto second = [&](const Tensor& y) {
    const Tensor dx = torch::autograd::grad({y}, {x}, {dy}, true, /*create_graph=*/true)[0];
    return torch::autograd::grad({dx.pow(2).sum()}, {dy})[0];
  };
  EXPECT_LT(distance(second(max_pool_2x2(x)), second(torch::max_pool2d(x, 2))), 1e-6);
}

// Values with ties; LibTorch's own operator in the same memory format, and its gradient in double.
void expect_as_torch(torch::ScalarType type, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                     at::IntArrayRef shape) {
  const Tensor x =
      (random_double(shape, 7) * 2).round().to(type).contiguous(torch::MemoryFormat::ChannelsLast);
  const Tensor a = x.clone().requires_grad_(true);
  const Tensor b = x.to(torch::kDouble).requires_grad_(true);
  const Tensor ours = max_pool_rows(a, kernel, stride, padding);
  ASSERT_TRUE(ours.defined());
  EXPECT_TRUE(ours.is_contiguous(torch::MemoryFormat::ChannelsLast));
  const Tensor theirs = torch::max_pool2d(b, kernel, stride, padding);
  ASSERT_TRUE(torch::equal(ours.to(torch::kDouble), theirs)) << kernel << " " << shape;
  const Tensor upstream = random_double(theirs.sizes(), 8).to(type);
  ours.backward(upstream.contiguous(torch::MemoryFormat::ChannelsLast));
  theirs.backward(upstream.to(torch::kDouble));
  // Sums of up to four values, in float32, rounded once.
  EXPECT_LT(distance(a.grad(), b.grad()), type == torch::kFloat ? 1e-6 : 0.005) << kernel << " " << shape;
}

TEST(MaxPoolRows, EqualsTorchsOwnInEveryWindow) {
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    for (const std::int64_t channels : {2, 3, 16, 33, 70}) {  // none, some and all in vectors
      for (const std::int64_t side : {3, 4, 7, 8}) {
        expect_as_torch(type, 2, 2, 0, {2, channels, side, side + 1});
        expect_as_torch(type, 3, 2, 1, {2, channels, side, side + 1});
        expect_as_torch(type, 3, 1, 1, {2, channels, side, side + 1});
      }
    }
  }
}

TEST(MaxPoolRows, IsWhatTheTwoPoolsUse) {
  const Tensor x =
      random_double({2, 8, 9, 9}, 9).to(torch::kBFloat16).contiguous(torch::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(torch::equal(max_pool_2x2(x), torch::max_pool2d(x, 2)));
  EXPECT_TRUE(torch::equal(max_pool_3x3(x), torch::max_pool2d(x, 3, 2, 1)));
  const Tensor planes = x.to(torch::kFloat).contiguous();
  EXPECT_TRUE(torch::equal(max_pool_3x3(planes), torch::max_pool2d(planes, 3, 2, 1)));
  EXPECT_FALSE(max_pool_rows(planes, 3, 2, 1).defined());
}

TEST(MaxPoolRows, LetsWhatIsNotANumberThrough) {
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    Tensor x = random_double({1, 37, 4, 4}, 3).to(type).contiguous(torch::MemoryFormat::ChannelsLast);
    for (const std::int64_t channel : {1, 36}) x[0][channel][1][1] = std::numeric_limits<float>::quiet_NaN();
    x[0][2] = -std::numeric_limits<float>::infinity();
    const Tensor y = max_pool_3x3(x);
    const Tensor expected = torch::max_pool2d(x.to(torch::kFloat), 3, 2, 1);
    EXPECT_TRUE(torch::allclose(y.to(torch::kFloat), expected, 0, 0, /*equal_nan=*/true));
    for (const std::int64_t channel : {1, 36})
      EXPECT_TRUE(torch::isnan(y[0][channel]).all().item<bool>()) << "(1, 1) is in all four windows";
    EXPECT_EQ(torch::isnan(y).sum().item<std::int64_t>(), 8);
  }
}

TEST(MaxPoolRows, HasASecondDerivative) {
  const Tensor x = random_double({1, 2, 5, 9}, 5)
                       .to(torch::kFloat)
                       .contiguous(torch::MemoryFormat::ChannelsLast)
                       .requires_grad_(true);
  const Tensor dy = random_double({1, 2, 3, 5}, 6).to(torch::kFloat).requires_grad_(true);
  const auto second = [&](const Tensor& y) {
    const Tensor dx = torch::autograd::grad({y}, {x}, {dy}, true, /*create_graph=*/true)[0];
    return torch::autograd::grad({dx.pow(2).sum()}, {dy})[0];
  };
  EXPECT_LT(distance(second(max_pool_3x3(x)), second(torch::max_pool2d(x, 3, 2, 1))), 1e-6);
}

}  // namespace
}  // namespace refnorm::ops
