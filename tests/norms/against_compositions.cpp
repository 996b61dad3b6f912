#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/batch_renorm.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/frozen_batch_norm.h>
#include <refnorm/norms/ghost_batch_norm.h>
#include <refnorm/norms/population.h>
#include <refnorm/norms/switchable_norm.h>
#include <refnorm/norms/virtual_batch_norm.h>

#include "tests/support/tensors.h"

// The norms that LibTorch lacks against their sources' formulas, one ATen operator a step, in double and
// differentiated by autograd.

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::random_double;
using torch::Tensor;

using Axes = std::vector<std::int64_t>;

Tensor mean_of(const Tensor& x, const Axes& axes) {
  return x.mean(axes, /*keepdim=*/true);
}
Tensor var_of(const Tensor& x, const Axes& axes) {
  return (x - mean_of(x, axes)).square().mean(axes, /*keepdim=*/true);
}
Tensor per_channel(const Tensor& values) {
  return values.view({1, -1, 1, 1});
}

/// A copy that gathers gradients of its own.
Tensor leaf(const Tensor& tensor) {
  return tensor.detach().clone().requires_grad_(true);
}

template <class Layer>
void prepare(Layer& layer) {
  layer->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  layer->weight.copy_(random_double(layer->weight.sizes(), 60) + 1);
  layer->bias.copy_(random_double(layer->bias.sizes(), 61));
}

const Axes kBatch{0, 2, 3};
const Axes kSample{1, 2, 3};
const Axes kInstance{2, 3};

TEST(SwitchableNorm, EqualsItsComposition) {
  SwitchableNorm2d layer(4);
  prepare(layer);
  {
    const torch::NoGradGuard no_grad;
    layer->mean_weight.copy_(random_double({3}, 62));
    layer->var_weight.copy_(random_double({3}, 63));
  }
  const auto composed = [](const Tensor& x, const Tensor& mean_bn, const Tensor& var_bn, const Tensor& means,
                           const Tensor& vars, const Tensor& weight, const Tensor& bias) {
    const Tensor a = torch::softmax(means, 0);
    const Tensor b = torch::softmax(vars, 0);
    const Tensor mean = a[0] * mean_of(x, kInstance) + a[1] * mean_of(x, kSample) + a[2] * mean_bn;
    const Tensor var = b[0] * var_of(x, kInstance) + b[1] * var_of(x, kSample) + b[2] * var_bn;
    return per_channel(weight) * (x - mean) / (var + 1e-5).sqrt() + per_channel(bias);
  };
  const Tensor base = random_double({5, 4, 3, 3}, 64) * 2 + 1;
  const Tensor upstream = random_double({5, 4, 3, 3}, 65);
  const Tensor x = leaf(base);
  const Tensor y = layer->forward(x);
  y.backward(upstream);
  const std::vector<Tensor> in{leaf(base), leaf(layer->mean_weight), leaf(layer->var_weight),
                               leaf(layer->weight), leaf(layer->bias)};
  const Tensor plain =
      composed(in[0], mean_of(in[0], kBatch), var_of(in[0], kBatch), in[1], in[2], in[3], in[4]);
  plain.backward(upstream);
  EXPECT_LT(distance(y, plain), 1e-13);
  EXPECT_LT(distance(x.grad(), in[0].grad()), 1e-12);
  EXPECT_LT(distance(layer->mean_weight.grad(), in[1].grad()), 1e-12);
  EXPECT_LT(distance(layer->var_weight.grad(), in[2].grad()), 1e-12);
  EXPECT_LT(distance(layer->weight.grad(), in[3].grad()), 1e-12);
  EXPECT_LT(distance(layer->bias.grad(), in[4].grad()), 1e-12);
  // 5·9 values a channel; momentum 0.1.
  EXPECT_LT(distance(layer->running_mean, mean_of(base, kBatch).flatten() * 0.1), 1e-14);
  EXPECT_LT(distance(layer->running_var, var_of(base, kBatch).flatten() * (0.1 * 45 / 44) + 0.9), 1e-14);

  layer->eval();
  const Tensor stored = composed(base, per_channel(layer->running_mean), per_channel(layer->running_var),
                                 layer->mean_weight, layer->var_weight, layer->weight, layer->bias);
  EXPECT_LT(distance(layer->forward(base), stored), 1e-13);
}

TEST(SwitchableNorm, MixesLayerAndBatchOnDenseLayers) {
  SwitchableNorm1d layer(SwitchableNormOptions(3).instance(false));
  prepare(layer);
  EXPECT_EQ(layer->mean_weight.size(0), 2);
  const Tensor x = random_double({6, 3}, 66);
  // Equal weights at the start.
  const Tensor mean = (x.mean(1, true) + x.mean(0, true)) / 2;
  const Tensor var =
      (x.var(torch::IntArrayRef({1}), false, true) + x.var(torch::IntArrayRef({0}), false, true)) / 2;
  EXPECT_LT(distance(layer->forward(x), layer->weight * (x - mean) / (var + 1e-5).sqrt() + layer->bias),
            1e-13);
}

TEST(GhostBatchNorm, IsBatchNormOfEachVirtualBatch) {
  GhostBatchNorm2d layer(GhostBatchNormOptions(4).virtual_batch_size(3));
  prepare(layer);
  const Tensor base = random_double({8, 4, 2, 3}, 67) * 2 + 1;  // 3 samples, and 5 with the rest
  const Tensor upstream = random_double({8, 4, 2, 3}, 68);
  const Tensor x = leaf(base);
  const Tensor y = layer->forward(x);
  y.backward(upstream);
  const Tensor other = leaf(base);
  std::vector<Tensor> parts;
  Tensor means = torch::zeros({4}, torch::kDouble);
  Tensor vars = torch::zeros({4}, torch::kDouble);
  for (const Tensor& part : other.split_with_sizes({3, 5})) {
    parts.push_back(torch::batch_norm(part, layer->weight.detach(), layer->bias.detach(), {}, {}, true, 0.1,
                                      1e-5, false));
    means += part.detach().mean(kBatch) / 2;
    vars += part.detach().var(torch::IntArrayRef(kBatch), /*unbiased=*/true) / 2;
  }
  const Tensor plain = torch::cat(parts);
  plain.backward(upstream);
  EXPECT_LT(distance(y, plain), 1e-13);
  EXPECT_LT(distance(x.grad(), other.grad()), 1e-12);
  EXPECT_LT(distance(layer->running_mean, means * 0.1), 1e-14);
  EXPECT_LT(distance(layer->running_var, vars * 0.1 + 0.9), 1e-14);
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 1);
}

TEST(GhostBatchNorm, ShowsEachVirtualBatchToAlgorithm3) {
  GhostBatchNorm1d layer(GhostBatchNormOptions(2).virtual_batch_size(4));
  layer->to(torch::kDouble);
  const Tensor x = random_double({12, 2}, 69);
  const PopulationPass pass(*layer);
  layer->forward(x);
  // Between virtual batches, as between batches: the biased variance of all values.
  EXPECT_LT(distance(pass.finish().begin()->second[PopulationReading::kRawBetween].var, x.var(0, false)),
            1e-13);
}

TEST(GhostBatchNorm, RefusesVirtualBatchesOfOneValue) {
  GhostBatchNorm1d layer(GhostBatchNormOptions(2).virtual_batch_size(1));
  EXPECT_EQ(testing::message_of<UserError>([&] {
              layer->forward(torch::ones({4, 2}));
            }),
            "GhostBatchNorm1d: expected more than 1 value a channel of a virtual batch in training, got an "
            "input of "
            "shape [4, 2]");
}

TEST(BatchRenorm, EqualsItsComposition) {
  BatchRenorm2d layer(
      BatchRenormOptions(4).warmup(0).r_max_steps(0).d_max_steps(0).r_max(1.3).d_max(0.4).momentum(0.1));
  prepare(layer);
  layer->running_mean.copy_(random_double({4}, 70));
  layer->running_var.copy_(random_double({4}, 71).square() + 0.5);
  const Tensor mean = layer->running_mean.clone();
  const Tensor var = layer->running_var.clone();
  const Tensor base = random_double({5, 4, 3, 3}, 72) * 1.5 + 0.3;
  const Tensor upstream = random_double({5, 4, 3, 3}, 73);
  const Tensor x = leaf(base);
  const Tensor y = layer->forward(x);
  y.backward(upstream);

  const Tensor other = leaf(base);
  const Tensor weight = leaf(layer->weight);
  const Tensor bias = leaf(layer->bias);
  const Tensor own = (var_of(other, kBatch) + 1e-5).sqrt();
  const Tensor target = (per_channel(var) + 1e-5).sqrt();
  const Tensor r = (own.detach() / target).clamp(1 / 1.3, 1.3);
  const Tensor d = ((mean_of(other, kBatch).detach() - per_channel(mean)) / target).clamp(-0.4, 0.4);
  const bool some_bind =
      (r == 1.3).logical_or(r == 1 / 1.3).any().item<bool>() || (d.abs() == 0.4).any().item<bool>();
  const bool some_free = (d.abs() < 0.4).any().item<bool>();
  ASSERT_TRUE(some_bind && some_free) << "the case should have limits that bind and that do not";
  const Tensor plain =
      per_channel(weight) * ((other - mean_of(other, kBatch)) / own * r + d) + per_channel(bias);
  plain.backward(upstream);
  EXPECT_LT(distance(y, plain), 1e-13);
  EXPECT_LT(distance(x.grad(), other.grad()), 1e-12);
  EXPECT_LT(distance(layer->weight.grad(), weight.grad()), 1e-12);
  EXPECT_LT(distance(layer->bias.grad(), bias.grad()), 1e-12);
  EXPECT_LT(distance(layer->running_mean, mean * 0.9 + mean_of(base, kBatch).flatten() * 0.1), 1e-14);
  EXPECT_LT(distance(layer->running_var, var * 0.9 + var_of(base, kBatch).flatten() * 0.1), 1e-14);
}

// Within wide limits training normalizes exactly as evaluation does, whatever the batch.
TEST(BatchRenorm, TrainsAsItEvaluatesWithinItsLimits) {
  BatchRenorm2d layer(BatchRenormOptions(4).warmup(0).r_max_steps(0).d_max_steps(0).r_max(1e9).d_max(1e9));
  prepare(layer);
  layer->running_mean.copy_(random_double({4}, 74));
  layer->update_statistics(false);
  const Tensor x = random_double({3, 4, 2, 2}, 75) * 4 - 2;
  Tensor blended_mean;
  Tensor blended_var;
  layer->observe_batches([&](const BatchObservation& seen) {
    blended_mean = seen.blended_mean;
    blended_var = seen.blended_var;
  });
  const Tensor training = layer->forward(x);
  layer->eval();
  EXPECT_LT(distance(training, layer->forward(x)), 1e-12);
  EXPECT_LT(distance(blended_mean, layer->running_mean), 1e-12) << "what Algorithm 3 is shown";
  EXPECT_LT(distance(blended_var, layer->running_var), 1e-12);
}

// Straight lines from (warmup, 1) to (r_max_steps, r_max) and from (warmup, 0) to (d_max_steps, d_max).
TEST(BatchRenorm, OpensItsLimitsOverTime) {
  const BatchRenorm1d layer(
      BatchRenormOptions(1).warmup(10).r_max(3).r_max_steps(30).d_max(5).d_max_steps(20));
  const auto expect = [&](std::int64_t step, double r_max, double d_max) {
    EXPECT_DOUBLE_EQ(layer->limits(step).r_max, r_max) << step;
    EXPECT_DOUBLE_EQ(layer->limits(step).d_max, d_max) << step;
  };
  expect(0, 1, 0);
  expect(9, 1, 0);
  expect(15, 1.5, 2.5);
  expect(20, 2, 5);
  expect(29, 2.9, 5);
  expect(30, 3, 5);
  expect(1000000, 3, 5);
}

/// Salimans et al., section 3.4: the sample's own statistics with weight 1/(R+1), through mean and mean
/// square.
Tensor plain_vbn(const Tensor& x, const Tensor& ref_mean, const Tensor& ref_square, double rows) {
  const double own = 1 / (rows + 1);
  const Tensor mean = own * mean_of(x, kInstance) + (1 - own) * ref_mean;
  const Tensor square = own * mean_of(x.square(), kInstance) + (1 - own) * ref_square;
  return (x - mean) / (square - mean.square() + 1e-5).sqrt();
}

TEST(VirtualBatchNorm, EqualsItsCompositionWithALiveReference) {
  VirtualBatchNorm2d layer(4);
  prepare(layer);
  const Tensor base = random_double({7, 4, 3, 3}, 76) * 2 + 1;  // 3 of the reference, 4 of the batch
  const Tensor upstream = random_double({7, 4, 3, 3}, 77);
  const Tensor x = leaf(base);
  layer->reference_rows(3);
  const Tensor y = layer->forward(x);
  y.backward(upstream);
  const Tensor other = leaf(base);
  const Tensor weight = leaf(layer->weight);
  const Tensor bias = leaf(layer->bias);
  const Tensor reference = other.narrow(0, 0, 3);
  const Tensor ref_mean = mean_of(reference, kBatch);
  const Tensor of_reference = (reference - ref_mean) / (var_of(reference, kBatch) + 1e-5).sqrt();
  const Tensor of_batch = plain_vbn(other.narrow(0, 3, 4), ref_mean, mean_of(reference.square(), kBatch), 3);
  const Tensor plain = per_channel(weight) * torch::cat({of_reference, of_batch}) + per_channel(bias);
  plain.backward(upstream);
  EXPECT_LT(distance(y, plain), 1e-12);
  EXPECT_LT(distance(x.grad(), other.grad()), 1e-11);
  EXPECT_LT(distance(layer->weight.grad(), weight.grad()), 1e-12);
  EXPECT_LT(distance(layer->bias.grad(), bias.grad()), 1e-12);

  // Evaluation goes by the reference that passed last, each sample by itself.
  layer->reference_rows(0);
  layer->eval();
  EXPECT_LT(distance(layer->forward(base.narrow(0, 3, 4)), plain.narrow(0, 3, 4)), 1e-12);
  EXPECT_LT(distance(layer->forward(base.narrow(0, 5, 1)), plain.narrow(0, 5, 1)), 1e-12);
}

TEST(VirtualBatchNorm, TrainsThroughAReferenceKeeperAndAsksForIt) {
  VirtualBatchNorm1d layer(3);
  layer->to(torch::kDouble);
  EXPECT_NE(testing::message_of<UserError>([&] {
              layer->forward(torch::ones({2, 3}, torch::kDouble));
            }).find("ReferenceKeeper"),
            std::string::npos);
  const Tensor reference = random_double({5, 3}, 78);
  ReferenceKeeper keeper(layer, reference);
  const Tensor x = random_double({4, 3}, 79);
  const Tensor y = keeper.forward(x);
  ASSERT_EQ(y.sizes(), x.sizes());
  // A dense layer: a sample's own mean is its value, its own variance 0.
  const Tensor mean = x / 6 + reference.mean(0) * 5 / 6;
  const Tensor square = x.square() / 6 + reference.square().mean(0) * 5 / 6;
  EXPECT_LT(distance(y, (x - mean) / (square - mean.square() + 1e-5).sqrt()), 1e-12);
  EXPECT_EQ(layer->num_ref_samples.item<std::int64_t>(), 5);
  {
    const torch::NoGradGuard no_grad;
    layer->weight.fill_(2);
  }
  keeper.prepare_evaluation();
  EXPECT_LT(distance(layer->ref_mean, reference.mean(0)), 1e-14);
}

TEST(FrozenBatchNorm, IsAFixedMapInTrainingToo) {
  FrozenBatchNorm2d layer(4);
  layer->to(torch::kDouble);
  EXPECT_TRUE(layer->parameters().empty());
  layer->weight.copy_(random_double({4}, 80));
  layer->bias.copy_(random_double({4}, 81));
  layer->running_mean.copy_(random_double({4}, 82));
  layer->running_var.copy_(random_double({4}, 83).square());
  const Tensor x = leaf(random_double({2, 4, 3, 3}, 84));
  const Tensor slope = layer->weight / (layer->running_var + 1e-5).sqrt();
  const Tensor y = layer->forward(x);
  EXPECT_LT(
      distance(y, x.detach() * per_channel(slope) + per_channel(layer->bias - layer->running_mean * slope)),
      1e-12);
  y.sum().backward();
  EXPECT_LT(distance(x.grad(), per_channel(slope).expand_as(x)), 1e-13);
}

}  // namespace
}  // namespace refnorm
