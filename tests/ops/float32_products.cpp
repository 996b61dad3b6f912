#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/float32_products.h>

#include "tests/support/tensors.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::random_double;
using torch::Tensor;

/// Largest |a − b| in units of b's own size: rounding to bfloat16's 8 digits moves a value by up to 2^-8 of
/// itself. What products of thousands of values leave near zero is measured against a thousandth of the
/// largest one, as float32's rounding of the sum is (2^-24 of each of its terms).
double relative_gap(const Tensor& a, const Tensor& b) {
  const Tensor wide = a.to(torch::kDouble);
  const Tensor least = b.abs().max() * 1e-3;
  return ((wide - b).abs() / torch::maximum(b.abs(), least)).max().item<double>();
}
// And what float32's sums are off by.
constexpr double kRounding = 0x1p-8 * 1.001;

Tensor values(at::IntArrayRef shape, std::uint64_t seed,
              at::MemoryFormat format = at::MemoryFormat::Contiguous) {
  Tensor x = random_double(shape, seed).to(torch::kBFloat16);
  return x.dim() == 4 ? x.contiguous(format) : x;
}

struct Convolution {
  std::int64_t in, out, kernel, stride, groups;
  bool transposed, bias;
};

/// The output, and the gradients of sum(output · g) by x, weight and bias.
std::vector<Tensor> forward_and_back(const Convolution& of, torch::ScalarType type, at::MemoryFormat format) {
  const auto leaf = [&](at::IntArrayRef shape, std::uint64_t seed) {
    return values(shape, seed, format).to(type).requires_grad_(true);
  };
  const Tensor x = leaf({3, of.in, 9, 7}, 1);
  const Tensor weight = leaf(
      {of.transposed ? of.in : of.out, (of.transposed ? of.out : of.in) / of.groups, of.kernel, of.kernel},
      2);
  const Tensor bias = of.bias ? leaf({of.out}, 3) : Tensor();
  const Tensor y = of.transposed ? torch::conv_transpose2d(x, weight, bias, of.stride, 0, 0, of.groups)
                                 : torch::conv2d(x, weight, bias, of.stride, of.kernel / 2, 1, of.groups);
  std::vector<Tensor> leaves{x, weight};
  if (of.bias) leaves.push_back(bias);
  std::vector<Tensor> found = torch::autograd::grad({y}, leaves, {values(y.sizes(), 4, format).to(type)});
  found.insert(found.begin(), y);
  return found;
}

// Expected: LibTorch's own operators on the same values in float64.
TEST(Float32Products, RoundAConvolutionAndItsGradientsOnce) {
  const Float32Products in_float32;
  for (const at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    for (const Convolution& of : {Convolution{16, 8, 3, 1, 1, false, false},
                                  {16, 8, 3, 2, 1, false, true},
                                  {16, 32, 1, 1, 1, false, false},
                                  {16, 8, 3, 1, 4, false, true},
                                  {16, 8, 2, 2, 1, true, true}}) {
      const auto found = forward_and_back(of, torch::kBFloat16, format);
      const auto expected = forward_and_back(of, torch::kDouble, format);
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].scalar_type(), torch::kBFloat16);
        ASSERT_EQ(found[i].sizes(), expected[i].sizes());
        EXPECT_LT(relative_gap(found[i], expected[i]), kRounding) << i << " of kernel " << of.kernel;
      }
      EXPECT_EQ(found[0].strides(), forward_and_back(of, torch::kFloat, format)[0].strides());
    }
  }
}

// Pictures that go through in groups: 5 of 1.6 million values, on fewer than five threads more than one
// group.
TEST(Float32Products, TakeManyPicturesInParts) {
  const Float32Products in_float32;
  const auto gradients = [](torch::ScalarType type) {
    const Tensor x =
        values({5, 8, 450, 450}, 1, at::MemoryFormat::ChannelsLast).to(type).requires_grad_(true);
    const Tensor weight = values({4, 8, 1, 1}, 2).to(type).requires_grad_(true);
    const Tensor bias = values({4}, 3).to(type).requires_grad_(true);
    const Tensor y = torch::conv2d(x, weight, bias, 2);
    auto found = torch::autograd::grad({y}, {x, weight, bias}, {values(y.sizes(), 4).to(type)});
    found.push_back(y);
    return found;
  };
  const auto found = gradients(torch::kBFloat16);
  const auto expected = gradients(torch::kDouble);
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].sizes(), expected[i].sizes());
    EXPECT_LT(relative_gap(found[i], expected[i]), kRounding) << i;
  }
}

// Sums of 1,000 products are where arithmetic in 8 bits would lose most.
TEST(Float32Products, RoundAProductOfMatricesOnce) {
  const Float32Products in_float32;
  const Tensor a = values({30, 1000}, 1), b = values({1000, 20}, 2), c = values({20}, 3);
  const Tensor product = a.to(torch::kDouble).mm(b.to(torch::kDouble));
  EXPECT_LT(relative_gap(a.mm(b), product), kRounding);
  EXPECT_LT(relative_gap(torch::addmm(c, a, b, 0.5, 2), 0.5 * c.to(torch::kDouble) + 2 * product), kRounding);
  // Parts of other tensors, and transposed ones.
  const Tensor wider = values({60, 1000}, 4);
  const Tensor every_second = wider.slice(0, 0, 60, 2);
  EXPECT_LT(relative_gap(every_second.mm(b), every_second.to(torch::kDouble).mm(b.to(torch::kDouble))),
            kRounding);
  const Tensor turned = b.t().contiguous().t();
  EXPECT_TRUE(torch::equal(a.mm(turned), a.mm(b)));
  EXPECT_EQ(torch::conv2d(values({0, 3, 8, 8}, 1), values({2, 3, 3, 3}, 2)).sizes(),
            at::IntArrayRef({0, 2, 6, 6}));
  EXPECT_EQ(values({0, 1000}, 1).mm(b).sizes(), at::IntArrayRef({0, 20}));
  EXPECT_EQ(values({3, 0}, 1).mm(values({0, 2}, 1)).abs().max().item<double>(), 0);
}

TEST(Float32Products, LeaveOtherDtypesAndLaterProductsAlone) {
  const auto all = [] {
    std::vector<Tensor> found;
    for (const torch::ScalarType type : {torch::kFloat, torch::kDouble, torch::kBFloat16}) {
      for (const Tensor& t :
           forward_and_back({4, 4, 3, 1, 1, false, true}, type, at::MemoryFormat::Contiguous))
        found.push_back(t);
      const Tensor a = values({5, 40}, 1).to(type), b = values({40, 6}, 2).to(type);
      found.push_back(a.mm(b));
      found.push_back(torch::addmm(values({6}, 3).to(type), a, b));
    }
    return found;
  };
  const std::vector<Tensor> before = all();
  std::vector<Tensor> meanwhile;
  ::testing::internal::CaptureStderr();
  {
    const Float32Products in_float32;
    meanwhile = all();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  const std::vector<Tensor> after = all();
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(torch::equal(after[i], before[i])) << i;
    if (before[i].scalar_type() != torch::kBFloat16) {
      EXPECT_TRUE(torch::equal(meanwhile[i], before[i])) << i;
    }
  }
}

}  // namespace
}  // namespace refnorm::ops
