#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/normalize.h>
#include <refnorm/ops/peak_memory.h>
#include <refnorm/ops/recompute.h>

#include "tests/support/tensors.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::random_double;
using torch::Tensor;

struct Case {
  torch::ScalarType type;
  torch::MemoryFormat format;
  Partition sets;  ///< samples, channels that share statistics
  bool with_residual;
};

/// conv(relu(norm(x) [+ residual])) and the gradients of its sum of squares.
std::vector<Tensor> forward_and_back(const Case& of, bool recompute) {
  const auto leaf = [&](at::IntArrayRef shape, std::uint64_t seed) {
    const Tensor value = random_double(shape, seed).to(of.type);
    return (shape.size() == 4 ? value.contiguous(of.format) : value).requires_grad_(true);
  };
  const Tensor x = leaf({4, 16, 9, 7}, 1);
  const Tensor residual = of.with_residual ? leaf({4, 16, 9, 7}, 2) : Tensor();
  const Tensor kernel = leaf({6, 16, 3, 3}, 3);
  const Tensor weight = random_double({16}, 4).to(torch::kFloat).requires_grad_(true);
  const Tensor bias = random_double({16}, 5).to(torch::kFloat).requires_grad_(true);
  NormalizeBy by;
  by.sets = {of.sets};
  const Tensor y = normalize(x, by, weight, bias, {residual, true}).y;
  Tensor out = torch::conv2d(y, kernel);
  if (recompute) out = recompute_input(out, y, residual);
  std::vector<Tensor> inputs{x, kernel, weight, bias};
  if (of.with_residual) inputs.push_back(residual);
  std::vector<Tensor> results = torch::autograd::grad({out.pow(2).sum()}, inputs);
  results.push_back(out);
  return results;
}

TEST(RecomputeInput, ChangesNoBitOfAnyGradient) {
  for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kDouble}) {
    for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
      // As batch, instance, layer and group norm have them; 0 stands for all.
      for (const Partition sets : {Partition{4, 1}, Partition{1, 1}, Partition{1, 16}, Partition{1, 4}}) {
        for (const bool with_residual : {false, true}) {
          const Case of{type, format, sets, with_residual};
          const auto kept = forward_and_back(of, false);
          const auto again = forward_and_back(of, true);
          for (std::size_t i = 0; i < kept.size(); ++i)
            EXPECT_TRUE(torch::equal(kept[i], again[i])) << type << " " << with_residual << " " << i;
        }
      }
    }
  }
}

TEST(RecomputeInput, KeepsOneActivationLess) {
  const auto peak = [](bool recompute) {
    const PeakMemory memory;
    const Tensor x = torch::ones({8, 16, 32, 32}).requires_grad_(true);  // 512 KiB
    const Tensor kernel = torch::ones({1, 16, 1, 1}).requires_grad_(true);
    NormalizeBy by;
    by.sets = {{8, 1}};
    Tensor out;
    {
      const Tensor y = normalize(x, by, {}, {}, {{}, true}).y;
      out = torch::conv2d(y, kernel);
      if (recompute) out = recompute_input(out, y);
    }
    // What is taken now lies on top of what is kept.
    const Tensor more = torch::empty({8, 16, 32, 32});
    return memory.bytes();
  };
  EXPECT_EQ(peak(false) - peak(true), 8 * 16 * 32 * 32 * 4);
}

TEST(RecomputeInput, LeavesEverythingElseAlone) {
  const Tensor x = random_double({2, 3, 4, 4}, 1).requires_grad_(true);
  const Tensor kernel = random_double({2, 3, 1, 1}, 2).requires_grad_(true);
  const auto gradient = [&](bool recompute) {
    const Tensor y = torch::relu(x);  // of another operator
    Tensor out = torch::conv2d(y, kernel);
    if (recompute) out = recompute_input(out, y);
    return torch::autograd::grad({out.pow(2).sum()}, {kernel})[0];
  };
  EXPECT_TRUE(torch::equal(gradient(true), gradient(false)));
  const torch::NoGradGuard no_grad;
  const Tensor out = torch::conv2d(x, kernel);
  EXPECT_TRUE(recompute_input(out, x).is_same(out));
}

}  // namespace
}  // namespace refnorm::ops
