#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/ops/normalize.h>
#include <refnorm/ops/peak_memory.h>

namespace refnorm::ops {
namespace {

constexpr std::int64_t kValues = 1 << 20;
constexpr std::int64_t kBytes = kValues * 4;

TEST(PeakMemory, IsTheMostThatWasHeldAtOnce) {
  const PeakMemory peak;
  {
    const torch::Tensor a = torch::empty({kValues});
    const torch::Tensor b = torch::empty({kValues});
  }
  const torch::Tensor c = torch::empty({kValues});
  EXPECT_GE(peak.bytes(), 2 * kBytes);
  EXPECT_LT(peak.bytes(), 2 * kBytes + kBytes / 16);
}

// What stays after a forward pass is the input and the output and numbers per channel; LibTorch's batch norm,
// add and ReLU in its own words, each with a result that backward reads, keeps one activation more.
TEST(PeakMemory, ShowsThatNothingIsKeptThatBackwardCanComputeAgain) {
  const torch::Tensor x = torch::randn({16, 16, 64, 64}).requires_grad_(true);
  const torch::Tensor residual = torch::randn({16, 16, 64, 64}).requires_grad_(true);
  NormalizeBy by;
  by.sets = {{16, 1}};
  const auto kept_by = [](const auto& forward) {
    const PeakMemory peak;
    const torch::Tensor y = forward();
    return peak.bytes();
  };
  const auto ours = kept_by([&] { return normalize(x, by, {}, {}, {residual, true}).y; });
  const auto theirs = kept_by([&] {
    const torch::Tensor y = torch::batch_norm(x, {}, {}, {}, {}, true, 0.1, 1e-5, false);
    return torch::relu(y + residual);
  });
  EXPECT_LT(ours, kBytes + kBytes / 16);
  EXPECT_GT(theirs, 2 * kBytes);
}

}  // namespace
}  // namespace refnorm::ops
