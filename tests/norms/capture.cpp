#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/reference_batch_norm.h>

#include "tests/support/tensors.h"

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::message_of;
using refnorm::testing::random_double;
using torch::Tensor;

/// conv -> norm -> relu -> linear -> norm; counts its forward passes.
struct SmallNetImpl : torch::nn::Module {
  explicit SmallNetImpl(const ReferenceBatchNormOptions& options, bool foreign = false) {
    auto second = options;
    second.num_features(5);
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 3)));
    norm1 = register_module("norm1", ReferenceBatchNorm2d(options));
    linear = register_module("linear", torch::nn::Linear(3 * 4, 5));
    norm2 = register_module("norm2", ReferenceBatchNorm1d(second));
    if (foreign) {
      theirs = register_module("theirs", torch::nn::BatchNorm2d(3));
      dropout = register_module("dropout", torch::nn::Dropout(0.5));
    }
    to(torch::kDouble);
  }
  Tensor forward(const Tensor& x) {
    ++passes;
    rows = x.size(0);
    Tensor y = norm1(conv(x));
    if (!theirs.is_empty()) y = dropout(theirs(y));
    return norm2(linear(torch::relu(y).flatten(1)));
  }
  torch::nn::Conv2d conv{nullptr};
  ReferenceBatchNorm2d norm1{nullptr};
  torch::nn::Linear linear{nullptr};
  ReferenceBatchNorm1d norm2{nullptr};
  torch::nn::BatchNorm2d theirs{nullptr};
  torch::nn::Dropout dropout{nullptr};
  int passes = 0;
  std::int64_t rows = 0;
};
TORCH_MODULE(SmallNet);

Tensor pictures(std::int64_t count, std::uint64_t seed) {
  return random_double({count, 2, 4, 4}, seed);
}

TEST(CaptureReference, TakesEveryLayerInOneForwardPass) {
  SmallNet net(ReferenceBatchNormOptions(3));
  const Tensor batch = pictures(6, 1);
  capture_reference(net, batch);
  EXPECT_EQ(net->passes, 1);
  // What the layers see when each normalizes the batch by its own statistics, composed of ATen operators.
  const torch::NoGradGuard no_grad;
  const Tensor first = net->conv(batch);
  EXPECT_LT(distance(net->norm1->ref_mean, first.mean({0, 2, 3})), 1e-13);
  EXPECT_LT(distance(net->norm1->ref_var, first.var(torch::IntArrayRef({0, 2, 3}), false)), 1e-13);
  const Tensor normalized = (first - first.mean({0, 2, 3}, true)) /
                            (first.var(torch::IntArrayRef({0, 2, 3}), false, true) + 1e-5).sqrt();
  const Tensor second = net->linear(torch::relu(normalized).flatten(1));
  EXPECT_LT(distance(net->norm2->ref_mean, second.mean({0})), 1e-12);
  EXPECT_LT(distance(net->norm2->ref_var, second.var(0, false)), 1e-12);
}

TEST(CaptureReference, DisturbsNothing) {
  SmallNet net(ReferenceBatchNormOptions(3), /*foreign=*/true);
  const Tensor batch = pictures(6, 2);
  torch::manual_seed(5);
  const Tensor expected = torch::rand({4});
  torch::manual_seed(5);
  capture_reference(net, batch);
  EXPECT_EQ(distance(torch::rand({4}), expected), 0) << "the random generator moved";
  EXPECT_TRUE(net->is_training());
  EXPECT_EQ(distance(net->norm1->running_mean, torch::zeros({3})), 0);
  EXPECT_EQ(net->norm1->num_batches_tracked.item<std::int64_t>(), 0);
  EXPECT_EQ(distance(net->theirs->running_mean, torch::zeros({3})), 0) << "a foreign batch norm was updated";
  EXPECT_EQ(net->theirs->num_batches_tracked.item<std::int64_t>(), 0);
  for (const Tensor& parameter : net->parameters()) EXPECT_FALSE(parameter.grad().defined());
  EXPECT_FALSE(net->norm1->ref_mean.requires_grad());
}

TEST(CaptureReference, RefusesAnEmptyBatchAndPutsTheLayersBackAfterAFailure) {
  SmallNet net(ReferenceBatchNormOptions(3));
  EXPECT_NE(message_of<UserError>([&] { capture_reference(net, {}); }).find("empty"), std::string::npos);
  EXPECT_ANY_THROW(capture_reference(net, torch::ones({4, 9, 4, 4}, torch::kDouble)));
  capture_reference(net, pictures(4, 3));
  const Tensor reference = net->norm1->ref_mean.clone();
  net->forward(pictures(4, 4));  // still capturing, this would replace the reference
  EXPECT_EQ(distance(net->norm1->ref_mean, reference), 0);
}

TEST(ReferenceKeeper, RefreshesEveryKSteps) {
  SmallNet net(ReferenceBatchNormOptions(3).refresh_every(3));
  ReferenceKeeper keeper(net, pictures(4, 5));
  std::vector<int> passes;
  for (int step = 0; step < 7; ++step) {
    net->passes = 0;
    keeper.forward(pictures(2, 6));
    passes.push_back(net->passes);
  }
  // A capture before the steps 0, 3 and 6, beside each step's own pass.
  EXPECT_EQ(passes, (std::vector<int>{2, 1, 1, 2, 1, 1, 2}));
  EXPECT_EQ(net->norm1->num_ref_captures.item<std::int64_t>(), 3);
}

TEST(ReferenceKeeper, TakesAFixedReferenceOnce) {
  SmallNet net(ReferenceBatchNormOptions(3).reference(Reference::kFixed));
  ReferenceKeeper keeper(net, pictures(4, 7));
  for (int step = 0; step < 25; ++step) keeper.forward(pictures(2, 8));
  keeper.refresh();
  EXPECT_EQ(net->norm1->num_ref_captures.item<std::int64_t>(), 1);
}

TEST(ReferenceKeeper, GoesOnWithTheScheduleOfACheckpoint) {
  SmallNet net(ReferenceBatchNormOptions(3).refresh_every(4));
  ReferenceKeeper keeper(net, pictures(4, 9));
  keeper.forward(pictures(2, 10));
  keeper.set_steps(7);
  net->passes = 0;
  keeper.forward(pictures(2, 10));  // step 7: nothing due
  EXPECT_EQ(net->passes, 1);
  keeper.forward(pictures(2, 10));  // step 8
  EXPECT_EQ(net->passes, 3);
}

TEST(ReferenceKeeper, IsTheModelItselfInEvaluation) {
  SmallNet net(ReferenceBatchNormOptions(3).reference(Reference::kLive));
  ReferenceKeeper keeper(net, pictures(4, 11));
  net->eval();
  const Tensor x = pictures(2, 12);
  EXPECT_EQ(distance(keeper.forward(x), net->forward(x)), 0);
  EXPECT_EQ(keeper.steps(), 0);
}

// Algorithm 2 to the letter, for one layer: the reference's statistics come from the current input and
// gradients flow through them. Composed: y = (x − mu')/sqrt(var' + eps) with mu' = l2·mean(x) + l1·mean(r).
TEST(ReferenceKeeper, LetsTheReferenceRideAlongInLiveMode) {
  struct ScaledImpl : torch::nn::Module {
    ScaledImpl() {
      scale = register_parameter("scale", torch::full({3}, 1.5, torch::kDouble));
      norm = register_module("norm", ReferenceBatchNorm1d(ReferenceBatchNormOptions(3)
                                                              .reference(Reference::kLive)
                                                              .reference_weight(std::nullopt)
                                                              .affine(false)));
      norm->to(torch::kDouble);
    }
    Tensor forward(const Tensor& x) { return norm(torch::tanh(x * scale)); }
    Tensor scale;
    ReferenceBatchNorm1d norm{nullptr};
  };
  ScaledImpl model;
  const Tensor reference = random_double({5, 3}, 13);
  const Tensor x = random_double({4, 3}, 14);
  ReferenceKeeper keeper(model, reference);
  const Tensor y = keeper.forward(x);
  ASSERT_EQ(y.sizes(), x.sizes());
  y.pow(3).sum().backward();

  const Tensor scale = torch::full({3}, 1.5, torch::kDouble).requires_grad_(true);
  const Tensor a = torch::tanh(x * scale);
  const Tensor r = torch::tanh(reference * scale);
  const double l1 = 1.0 / 5;  // m = 4
  const Tensor mean = a.mean(0) * (1 - l1) + r.mean(0) * l1;
  const Tensor var = a.var(0, false) * (1 - l1) + r.var(0, false) * l1;
  const Tensor plain = (a - mean) / (var + 1e-5).sqrt();
  plain.pow(3).sum().backward();
  EXPECT_LT(distance(y, plain), 1e-13);
  EXPECT_LT(distance(model.scale.grad(), scale.grad()), 1e-11);
  EXPECT_LT(distance(model.norm->ref_mean, r.mean(0)), 1e-13)
      << "the last reference is kept for evaluation by batches";
}

TEST(ReferenceKeeper, SaysWhenALiveReferenceDoesNotRide) {
  SmallNet net(ReferenceBatchNormOptions(3).reference(Reference::kLive));
  EXPECT_NE(message_of<UserError>([&] { net->forward(pictures(2, 15)); }).find("ReferenceKeeper"),
            std::string::npos);
}

TEST(ReferenceKeeper, WantsOnePolicyForAllLayers) {
  const auto layer = [](Reference policy) {
    return ReferenceBatchNorm1d(ReferenceBatchNormOptions(4).reference(policy));
  };
  for (const Reference other : {Reference::kFixed, Reference::kLive}) {
    torch::nn::Sequential mixed(layer(Reference::kRefreshed), layer(other));
    EXPECT_THROW(ReferenceKeeper(mixed, torch::randn({3, 4})), UserError);
  }
  torch::nn::Sequential with_control(layer(Reference::kRefreshed), layer(Reference::kMoving));
  EXPECT_NO_THROW(ReferenceKeeper(with_control, torch::randn({3, 4})).forward(torch::randn({2, 4})));
}

TEST(CaptureReference, WorksOnAModuleThatNoPointerOwns) {
  SmallNetImpl net(ReferenceBatchNormOptions(3));
  capture_reference(net, pictures(4, 20));
  EXPECT_TRUE(net.norm1->reference_captured());
}

TEST(ReferenceKeeper, WantsABatchWhereTheModelDoes) {
  SmallNet net(ReferenceBatchNormOptions(3));
  EXPECT_THROW(ReferenceKeeper(net, Tensor()), UserError);
  SmallNet moving(ReferenceBatchNormOptions(3).reference(Reference::kMoving));
  EXPECT_NO_THROW(ReferenceKeeper(moving, Tensor()).forward(pictures(2, 16)));
  torch::nn::Sequential plain(torch::nn::Linear(4, 4));
  ReferenceKeeper keeper(plain, Tensor());
  EXPECT_EQ(keeper.forward(torch::ones({2, 4})).size(0), 2);
}

}  // namespace
}  // namespace refnorm
