#include <limits>

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/roi_align.h>
#include <refnorm/ops/roi_align_products.h>

#include "tests/support/tensors.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::distance;
using refnorm::testing::gradient_gap;
using refnorm::testing::random_double;
using refnorm::testing::second_gradient_gap;
using torch::Tensor;

constexpr auto kChannelsLast = torch::MemoryFormat::ChannelsLast;

Tensor regions() {
  return torch::tensor({{0.0, 3.1, 4.2, 30.7, 40.3},
                        {1.0, 0.0, 0.0, 95.0, 79.0},
                        {0.0, -20.0, -13.0, 31.0, 22.0},
                        {1.0, 60.5, 50.5, 140.0, 120.9},
                        {0.0, 200.0, 200.0, 300.0, 300.0},
                        {0.0, 20.0, 20.0, 20.0, 20.0},
                        {1.0, 10.0, 10.0, 11.0, 11.5}},
                       torch::kDouble);
}

std::vector<RoiGrid> grids() {
  std::vector<RoiGrid> all;
  for (const bool aligned : {true, false}) {
    for (const std::int64_t ratio : {0, 2, 3}) all.push_back({3, 4, 1.0 / 8, ratio, aligned});
  }
  return all;
}

/// The matrix [bins, features] by which an axis is averaged. Bilinear interpolation at t is the sum over
/// features i of max(0, 1 − |t − i|).
Tensor matrix_of(double low, double high, std::int64_t bins, std::int64_t features, const RoiGrid& grid) {
  const double offset = grid.aligned ? 0.5 : 0.0;
  const double start = low * grid.scale - offset;
  double size = high * grid.scale - offset - start;
  if (!grid.aligned) size = std::max(size, 1.0);
  const double each = size / static_cast<double>(bins);
  const double count = grid.sampling_ratio > 0 ? static_cast<double>(grid.sampling_ratio) : std::ceil(each);
  if (count < 1) return torch::zeros({bins, features}, torch::kDouble);
  const Tensor within = (torch::arange(count, torch::kDouble) + 0.5) * (each / count);
  const Tensor at =
      start + torch::arange(bins, torch::kDouble).unsqueeze(1) * each + within;  // [bins, count]
  const Tensor there = ((at >= -1) & (at <= static_cast<double>(features))).to(torch::kDouble);
  const Tensor moved = at.clamp(0, static_cast<double>(features - 1));
  const Tensor near = (1 - (moved.unsqueeze(2) - torch::arange(features, torch::kDouble)).abs()).clamp_min(0);
  return (near * there.unsqueeze(2)).mean(1);
}

/// As matrix products.
Tensor composed(const Tensor& x, const Tensor& rois, const RoiGrid& grid) {
  std::vector<Tensor> out;
  for (std::int64_t i = 0; i < rois.size(0); ++i) {
    const auto side = [&](int k) { return rois[i][k].item<double>(); };
    const Tensor rows = matrix_of(side(2), side(4), grid.height, x.size(2), grid);
    const Tensor columns = matrix_of(side(1), side(3), grid.width, x.size(3), grid);
    out.push_back(torch::matmul(torch::matmul(rows, x[rois[i][0].item<std::int64_t>()]), columns.t()));
  }
  return torch::stack(out);
}

TEST(RoiAlign, EqualsItsCompositionOfMatrixProducts) {
  const Tensor values = random_double({2, 5, 10, 12}, 1);
  for (const RoiGrid& grid : grids()) {
    for (const bool rows : {false, true}) {
      const Tensor x = (rows ? values.contiguous(kChannelsLast) : values.clone()).requires_grad_(true);
      const Tensor y = roi_align(x, regions(), grid);
      EXPECT_EQ(y.is_contiguous(kChannelsLast), rows);
      const Tensor other = values.clone().requires_grad_(true);
      const Tensor expected = composed(other, regions(), grid);
      EXPECT_LT(distance(y, expected), 1e-13);
      const Tensor upstream = random_double(expected.sizes(), 2);
      y.backward(upstream);
      expected.backward(upstream);
      EXPECT_LT(distance(x.grad(), other.grad()), 1e-13);
    }
  }
}

// As devices without kernels compute it, in chunks of regions and with pictures in any order.
TEST(RoiAlignByProducts, EqualsTheKernels) {
  Tensor rois = torch::cat({regions(), regions().flip(0)});
  rois[3][2] = std::numeric_limits<double>::infinity();
  const Tensor values = random_double({2, 5, 10, 12}, 1);
  for (const RoiGrid& grid : grids()) {
    for (const bool rows : {false, true}) {
      const Tensor x = (rows ? values.contiguous(kChannelsLast) : values.clone()).requires_grad_(true);
      const Tensor y = roi_align(x, rois, grid);
      const Tensor other = x.detach().clone().requires_grad_(true);
      // 5 channels, 10 rows, 4 bins: 2 regions at once.
      const Tensor products = roi_align_by_products(other, rois, grid, rows ? 400 : 1 << 28);
      EXPECT_EQ(products.is_contiguous(kChannelsLast), rows);
      EXPECT_TRUE(products[3].isnan().all().item<bool>());
      EXPECT_LT(distance(products.nan_to_num(), y.nan_to_num()), 1e-13);
      const Tensor upstream = random_double(y.sizes(), 2);
      y.backward(upstream);
      products.backward(upstream);
      EXPECT_LT(distance(other.grad(), x.grad()), 1e-13);
    }
  }
  EXPECT_EQ(roi_align_by_products(values, rois.narrow(0, 0, 0), grids()[0]).sizes(),
            (std::vector<std::int64_t>{0, 5, 3, 4}));
}

TEST(RoiAlign, HasTheGradientOfFiniteDifferences) {
  for (const RoiGrid& grid : grids()) {
    const auto f = [&](const std::vector<Tensor>& in) { return roi_align(in[0], regions(), grid); };
    EXPECT_LT(gradient_gap(f, {random_double({2, 2, 5, 6}, 3)}), 1e-7);
  }
  // Linear in x: only of its square is there a second one.
  const auto square = [&](const std::vector<Tensor>& in) {
    return roi_align(in[0], regions(), {2, 2, 1.0 / 8, 0, true}).square();
  };
  EXPECT_LT(second_gradient_gap(square, {random_double({2, 2, 5, 6}, 4)}), 1e-6);
}

// In float32 a sample lies up to 8e-6 beside its place; bfloat16 rounds the result, to 1/256 of it at most.
TEST(RoiAlign, ComputesOtherTypesInFloat) {
  const RoiGrid grid{7, 7, 1.0 / 8, 0, true};
  const Tensor values = random_double({2, 40, 10, 12}, 5).to(torch::kBFloat16).to(torch::kDouble);
  const Tensor upstream = random_double({7, 40, 7, 7}, 6).to(torch::kBFloat16).to(torch::kDouble);
  const Tensor exact = values.clone().requires_grad_(true);
  const Tensor expected = roi_align(exact, regions(), grid);
  expected.backward(upstream);
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    for (const auto format : {torch::MemoryFormat::Contiguous, kChannelsLast}) {
      const Tensor x = values.to(type).contiguous(format).requires_grad_(true);
      const Tensor y = roi_align(x, regions().to(torch::kFloat), grid);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_TRUE(y.is_contiguous(format));
      EXPECT_LT(distance(y, expected), type == torch::kFloat ? 1e-5 : 1.0 / 256);
      y.backward(upstream.to(type));
      EXPECT_EQ(x.grad().scalar_type(), type);
      EXPECT_LT(distance(x.grad(), exact.grad()), type == torch::kFloat ? 1e-5 : 1.0 / 256);
    }
  }
}

TEST(RoiAlign, IsTheSameOnAnyNumberOfThreads) {
  const int before = torch::get_num_threads();
  const auto run = [&](int threads) {
    torch::set_num_threads(threads);
    const Tensor x = random_double({2, 300, 10, 12}, 7).to(torch::kFloat).requires_grad_(true);
    const Tensor y = roi_align(x, regions(), {7, 7, 1.0 / 8, 0, true});
    y.square().sum().backward();
    return std::pair(y.detach(), x.grad());
  };
  const auto one = run(1);
  const auto many = run(3);
  torch::set_num_threads(before);
  EXPECT_TRUE(torch::equal(one.first, many.first));
  EXPECT_TRUE(torch::equal(one.second, many.second));
}

TEST(RoiAlign, TakesNoRegionsAndRejectsWhatDoesNotFit) {
  const Tensor x = torch::randn({2, 3, 5, 5}).requires_grad_(true);
  const Tensor none = roi_align(x, torch::empty({0, 5}), {4, 4});
  EXPECT_EQ(none.sizes().vec(), (std::vector<std::int64_t>{0, 3, 4, 4}));
  none.sum().backward();
  EXPECT_EQ(x.grad().abs().max().item<float>(), 0);
  EXPECT_THROW(roi_align(x, torch::zeros({1, 4}), {4, 4}), c10::Error);
  EXPECT_THROW(roi_align(x, torch::tensor({{2.0, 0.0, 0.0, 1.0, 1.0}}), {4, 4}), c10::Error);
  EXPECT_THROW(roi_align(x, torch::tensor({{-1.0, 0.0, 0.0, 1.0, 1.0}}), {4, 4}), c10::Error);
  EXPECT_THROW(roi_align(x, torch::tensor({{NAN, 0.0, 0.0, 1.0, 1.0}}), {4, 4}), c10::Error);
  EXPECT_THROW(roi_align(x[0], torch::zeros({1, 5}), {4, 4}), c10::Error);
  EXPECT_THROW(roi_align(x.to(torch::kLong), torch::zeros({1, 5}), {4, 4}), c10::Error);
}

}  // namespace
}  // namespace refnorm::ops
