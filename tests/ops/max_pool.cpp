#include <limits>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <refnorm/ops/max_pool.h>

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

}  // namespace
}  // namespace refnorm::ops
