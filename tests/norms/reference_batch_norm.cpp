#include <limits>

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/reference_batch_norm.h>

#include "tests/support/tensors.h"

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::gradient_gap;
using refnorm::testing::message_of;
using refnorm::testing::random_double;
using torch::Tensor;

Tensor column(std::initializer_list<double> values) {
  return torch::tensor(std::vector<double>(values), torch::kDouble).unsqueeze(1);
}

template <class Layer>
void to_double(Layer& layer) {
  layer->to(torch::kDouble);
}

// Algorithm 2 by hand. Reference {3, 7}: mu_fix = 5, var_fix = 4. Batch {1, 3}, m = 2: mu_B = 2, var_B = 1.
// l1 = 1/3, l2 = 2/3: mu' = 4/3 + 5/3 = 3, var' = 2/3 + 4/3 = 2. With eps = 2 the root is 2; gamma 3, beta 1:
// y = 3·(1 − 3)/2 + 1 = -2 and 3·(3 − 3)/2 + 1 = 1.
TEST(ReferenceBatchNorm, WorksTheExampleOfAlgorithm2) {
  ReferenceBatchNorm1d layer(ReferenceBatchNormOptions(1).eps(2).reference_weight(std::nullopt));
  to_double(layer);
  {
    const torch::NoGradGuard no_grad;
    layer->weight.fill_(3);
    layer->bias.fill_(1);
  }
  capture_reference(layer, column({3, 7}));
  EXPECT_LT(distance(layer->ref_mean, torch::tensor({5.0}, torch::kDouble)), 1e-15);
  EXPECT_LT(distance(layer->ref_var, torch::tensor({4.0}, torch::kDouble)), 1e-15);
  EXPECT_LT(distance(layer->forward(column({1, 3})), column({-2, 1})), 1e-15);
  // Momentum 0.1: 0.9·0 + 0.1·3, and 0.9·1 + 0.1·var'·n/(n−1) = 0.9 + 0.1·2·2/1.
  EXPECT_LT(distance(layer->running_mean, torch::tensor({0.3}, torch::kDouble)), 1e-15);
  EXPECT_LT(distance(layer->running_var, torch::tensor({1.3}, torch::kDouble)), 1e-15);
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 1);
}

// Unless the paper's weight is asked for, it is 0.3. With the same reference and batch: mu' = 0.7·2 + 0.3·5
// = 2.9, var' = 0.7·1 + 0.3·4 = 1.9; eps = 2.1 makes the root 2: (1 − 2.9)/2 and (3 − 2.9)/2.
TEST(ReferenceBatchNorm, WeighsTheReferenceByThreeTenths) {
  ReferenceBatchNorm1d layer(ReferenceBatchNormOptions(1).eps(2.1).affine(false));
  to_double(layer);
  capture_reference(layer, column({3, 7}));
  EXPECT_LT(distance(layer->forward(column({1, 3})), column({-0.95, 0.05})), 1e-15);
}

// The same with the between-means term: var' = 2 + 1/3·2/3·(2 − 5)^2 = 4; eps = 5 makes the root 3: (1 − 3)/3
// and 0.
TEST(ReferenceBatchNorm, MixtureAddsTheVarianceBetweenTheMeans) {
  ReferenceBatchNorm1d layer(ReferenceBatchNormOptions(1)
                                 .eps(5)
                                 .reference_weight(std::nullopt)
                                 .variance(VarianceBlend::kMixture)
                                 .affine(false));
  to_double(layer);
  capture_reference(layer, column({3, 7}));
  EXPECT_LT(distance(layer->forward(column({1, 3})), column({-2.0 / 3, 0})), 1e-15);
}

struct Case {
  std::vector<std::int64_t> shape;
  std::optional<double> weight;
  VarianceBlend variance;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& shape :
       std::vector<std::vector<std::int64_t>>{{1, 3}, {6, 3}, {2, 3, 4}, {1, 2, 3, 3}, {5, 4, 2, 3}}) {
    for (const std::optional<double> weight :
         {std::optional<double>(), std::optional<double>(0.3), std::optional<double>(1.0)}) {
      for (const VarianceBlend variance : {VarianceBlend::kLinear, VarianceBlend::kMixture})
        all.push_back({shape, weight, variance});
    }
  }
  return all;
}

std::shared_ptr<ReferenceBatchNormBase> make(const ReferenceBatchNormOptions& options, std::size_t axes) {
  std::shared_ptr<ReferenceBatchNormBase> layer;
  if (axes == 4) {
    layer = std::make_shared<ReferenceBatchNorm2dImpl>(options);
  } else {
    layer = std::make_shared<ReferenceBatchNorm1dImpl>(options);
  }
  layer->to(torch::kDouble);
  return layer;
}

std::vector<std::int64_t> axes_of(const Tensor& x) {
  std::vector<std::int64_t> axes{0};
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

Tensor spread(const Tensor& values, const Tensor& like) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape[1] = like.size(1);
  return values.reshape(shape);
}

/// Eq. 13 to 16 and step 3 of Algorithm 2, one ATen operator a step; torch's autograd differentiates it.
Tensor plain_rbn(const Tensor& x, const Tensor& ref_mean, const Tensor& ref_var, const Case& c,
                 const Tensor& weight, const Tensor& bias) {
  const double l1 = c.weight.value_or(1.0 / static_cast<double>(x.size(0) + 1));
  const double l2 = 1 - l1;
  const Tensor mean_b = x.mean(axes_of(x));
  const Tensor var_b = (x - spread(mean_b, x)).pow(2).mean(axes_of(x));
  const Tensor mean = l2 * mean_b + l1 * ref_mean;
  Tensor var = l2 * var_b + l1 * ref_var;
  if (c.variance == VarianceBlend::kMixture) var = var + l1 * l2 * (mean_b - ref_mean).pow(2);
  return spread(weight, x) * (x - spread(mean, x)) / torch::sqrt(spread(var, x) + 1e-5) + spread(bias, x);
}

TEST(ReferenceBatchNorm, EqualsAPlainAutogradCompositionInOutputAndGradients) {
  for (const Case& c : cases()) {
    const std::int64_t channels = c.shape[1];
    const auto layer = make(
        ReferenceBatchNormOptions(channels).reference_weight(c.weight).variance(c.variance), c.shape.size());
    const Tensor x = random_double(c.shape, 1) * 2 + 3;
    auto reference_shape = c.shape;
    reference_shape[0] = 7;
    const Tensor reference = random_double(reference_shape, 2) * 3 - 1;
    capture_reference(*layer, reference);
    const Tensor weight = random_double({channels}, 3);
    const Tensor bias = random_double({channels}, 4);
    {
      const torch::NoGradGuard no_grad;
      layer->weight.copy_(weight);
      layer->bias.copy_(bias);
    }
    const Tensor upstream = random_double(c.shape, 5);
    const Tensor ours_in = x.clone().requires_grad_(true);
    const Tensor ours = layer->forward(ours_in);
    (ours * upstream).sum().backward();

    const Tensor plain_in = x.clone().requires_grad_(true);
    const Tensor plain_weight = weight.clone().requires_grad_(true);
    const Tensor plain_bias = bias.clone().requires_grad_(true);
    const Tensor plain = plain_rbn(plain_in, reference.mean(axes_of(reference)),
                                   reference.var(axes_of(reference), false), c, plain_weight, plain_bias);
    (plain * upstream).sum().backward();
    EXPECT_LT(distance(ours, plain), 1e-12);
    EXPECT_LT(distance(ours_in.grad(), plain_in.grad()), 1e-11);
    EXPECT_LT(distance(layer->weight.grad(), plain_weight.grad()), 1e-12);
    EXPECT_LT(distance(layer->bias.grad(), plain_bias.grad()), 1e-12);
  }
}

TEST(ReferenceBatchNorm, HasTheGradientsOfFiniteDifferences) {
  const auto layer = make(ReferenceBatchNormOptions(2).eps(0.1).variance(VarianceBlend::kMixture), 4);
  capture_reference(*layer, random_double({4, 2, 2, 2}, 6) + 1);
  layer->update_statistics(false);
  EXPECT_LT(gradient_gap([&](const std::vector<Tensor>& in) { return layer->forward(in[0]); },
                         {random_double({3, 2, 2, 2}, 7)}),
            1e-7);
}

template <class Theirs, class Ours>
void expect_same_as_torch(Theirs theirs, Ours ours, const std::vector<std::int64_t>& shape) {
  theirs->to(torch::kDouble);
  ours->to(torch::kDouble);
  for (int step = 0; step < 4; ++step) {
    const Tensor x = random_double(shape, 100 + step) * (step + 1) + step;
    const Tensor a = x.clone().requires_grad_(true);
    const Tensor b = x.clone().requires_grad_(true);
    const Tensor ya = theirs->forward(a);
    const Tensor yb = ours->forward(b);
    const Tensor upstream = random_double(shape, 200 + step);
    theirs->zero_grad();
    ours->zero_grad();
    (ya * upstream).sum().backward();
    (yb * upstream).sum().backward();
    EXPECT_LT(distance(yb, ya), 1e-13);
    EXPECT_LT(distance(b.grad(), a.grad()), 1e-12);
    EXPECT_LT(distance(ours->weight.grad(), theirs->weight.grad()), 1e-12);
    EXPECT_LT(distance(ours->bias.grad(), theirs->bias.grad()), 1e-12);
    EXPECT_LT(distance(ours->running_mean, theirs->running_mean), 1e-13);
    EXPECT_LT(distance(ours->running_var, theirs->running_var), 1e-13);
    EXPECT_EQ(ours->num_batches_tracked.template item<std::int64_t>(),
              theirs->num_batches_tracked.template item<std::int64_t>());
  }
  theirs->eval();
  ours->eval();
  const Tensor x = random_double(shape, 300);
  EXPECT_LT(distance(ours->forward(x), theirs->forward(x)), 1e-13);
}

TEST(BatchNorm, EqualsTorchsOwnInOutputGradientsStatisticsAndEvaluation) {
  expect_same_as_torch(torch::nn::BatchNorm1d(3), BatchNorm1d(3), {5, 3});
  expect_same_as_torch(torch::nn::BatchNorm1d(3), BatchNorm1d(3), {5, 3, 4});
  expect_same_as_torch(torch::nn::BatchNorm2d(4), BatchNorm2d(4), {3, 4, 5, 6});
  expect_same_as_torch(torch::nn::BatchNorm3d(2), BatchNorm3d(2), {3, 2, 2, 3, 4});
  expect_same_as_torch(
      torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(4).momentum(c10::nullopt).eps(1e-3)),
      BatchNorm2d(BatchNormOptions(4).momentum(std::nullopt).eps(1e-3)), {3, 4, 5, 6});
}

TEST(BatchNorm, HasPyTorchsStateNames) {
  std::vector<std::string> names;
  BatchNorm2d layer(3);
  for (const auto& item : layer->named_parameters()) names.push_back(item.key());
  for (const auto& item : layer->named_buffers()) names.push_back(item.key());
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "bias", "running_mean", "running_var",
                                             "num_batches_tracked"}));
}

TEST(ReferenceBatchNorm, HasTheReferenceInItsState) {
  std::vector<std::string> names;
  ReferenceBatchNorm2d layer(3);
  for (const auto& item : layer->named_buffers()) names.push_back(item.key());
  EXPECT_EQ(names, (std::vector<std::string>{"running_mean", "running_var", "num_batches_tracked", "ref_mean",
                                             "ref_var", "num_ref_captures"}));
}

// Hard cases, each with its documented outcome.

TEST(ReferenceBatchNorm, NormalizesASingleValueByTheBlend) {
  // Reference {3, 7}; x = 1, m = 1: l1 = 1/2, mu' = (1 + 5)/2 = 3, var' = (0 + 4)/2 = 2, eps 2: (1 − 3)/2 =
  // -1.
  ReferenceBatchNorm1d layer(ReferenceBatchNormOptions(1).eps(2).reference_weight(std::nullopt));
  to_double(layer);
  capture_reference(layer, column({3, 7}));
  EXPECT_LT(distance(layer->forward(column({1})), column({-1})), 1e-15);
  // One value: n/(n−1) counts as 1, so the running variance is 0.9·1 + 0.1·2.
  EXPECT_LT(distance(layer->running_var, torch::tensor({1.1}, torch::kDouble)), 1e-15);
}

TEST(BatchNorm, RefusesASingleValueAChannelInTraining) {
  BatchNorm1d layer(3);
  const std::string message = message_of<UserError>([&] { layer->forward(torch::ones({1, 3})); });
  EXPECT_EQ(message,
            "BatchNorm1d: expected more than 1 value a channel in training, got an input of shape [1, 3]");
  layer->eval();
  EXPECT_NO_THROW(layer->forward(torch::ones({1, 3})));
}

TEST(ReferenceBatchNorm, LeavesEverythingAsItIsForAnEmptyBatch) {
  ReferenceBatchNorm2d layer(3);
  capture_reference(layer, torch::randn({4, 3, 2, 2}));
  const Tensor x = torch::empty({0, 3, 2, 2}).requires_grad_(true);
  const Tensor y = layer->forward(x);
  EXPECT_EQ(y.sizes(), x.sizes());
  y.sum().backward();
  EXPECT_EQ(distance(layer->weight.grad(), torch::zeros({3})), 0);
  EXPECT_EQ(distance(layer->running_mean, torch::zeros({3})), 0);
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 0);
}

TEST(ReferenceBatchNorm, AsksForItsReference) {
  ReferenceBatchNorm2d layer(3);
  const std::string message = message_of<UserError>([&] { layer->forward(torch::randn({2, 3, 2, 2})); });
  EXPECT_NE(message.find("capture_reference"), std::string::npos);
  layer->eval();
  EXPECT_NO_THROW(layer->forward(torch::randn({2, 3, 2, 2})));
}

TEST(ReferenceBatchNorm, NeverStoresNonFiniteStatistics) {
  ReferenceBatchNorm1d layer(ReferenceBatchNormOptions(2).reference(Reference::kMoving));
  layer->forward(torch::randn({8, 2}));
  const Tensor mean = layer->running_mean.clone();
  const Tensor reference = layer->ref_mean.clone();
  Tensor bad = torch::randn({8, 2});
  bad[3][1] = std::numeric_limits<float>::infinity();
  layer->forward(bad);
  EXPECT_EQ(distance(layer->running_mean, mean), 0);
  EXPECT_EQ(distance(layer->ref_mean, reference), 0);
  EXPECT_TRUE(torch::isfinite(layer->running_var).all().item<bool>());
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 1);

  ReferenceBatchNorm1d captured(2);
  capture_reference(captured, bad);
  EXPECT_FALSE(captured->reference_captured());
}

TEST(ReferenceBatchNorm, NamesWhatIsWrongWithItsInput) {
  ReferenceBatchNorm2d layer(3);
  EXPECT_EQ(message_of<UserError>([&] {
              layer->forward(torch::ones({2, 4, 5, 5}));
            }),
            "ReferenceBatchNorm2d: expected an input of 4 axes with 3 channels, got shape [2, 4, 5, 5]");
  EXPECT_THROW(layer->forward(torch::ones({2, 3})), UserError);
  EXPECT_THROW(layer->forward(torch::ones({2, 3, 2, 2}, torch::kLong)), UserError);
  EXPECT_THROW(ReferenceBatchNorm2d(0), UserError);
  EXPECT_THROW(ReferenceBatchNorm2d(ReferenceBatchNormOptions(2).eps(0)), UserError);
  EXPECT_THROW(ReferenceBatchNorm2d(ReferenceBatchNormOptions(2).reference_weight(1.5)), UserError);
  EXPECT_THROW(ReferenceBatchNorm2d(ReferenceBatchNormOptions(2).momentum(std::nan(""))), UserError);
}

// The three switches.

TEST(ReferenceBatchNorm, UsesTheStatisticsThatItIsTold) {
  BatchNorm1d layer(BatchNormOptions(1).eps(3));
  to_double(layer);
  layer->running_mean.fill_(2);
  layer->running_var.fill_(1);
  layer->set_population(torch::tensor({4.0}, torch::kDouble), torch::tensor({6.0}, torch::kDouble));
  layer->update_statistics(false);
  const Tensor x = column({1, 3});  // its own: mean 2, variance 1
  for (const bool training : {true, false}) {
    layer->use_statistics(Statistics::kRunning);
    layer->train(training);  // the switch outlives the change of mode
    EXPECT_LT(distance(layer->forward(x), column({-0.5, 0.5})), 1e-15);  // (x − 2)/sqrt(1 + 3)
    layer->use_statistics(Statistics::kPopulation);
    layer->train(training);
    EXPECT_LT(distance(layer->forward(x), column({-1, -1.0 / 3})), 1e-15);  // (x − 4)/sqrt(6 + 3)
    layer->use_statistics(Statistics::kBatch);
    layer->train(training);
    EXPECT_LT(distance(layer->forward(x), column({-0.5, 0.5})), 1e-15);
  }
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 0);
}

TEST(ReferenceBatchNorm, UpdatesOnlyInTrainingAndOnlyIfTold) {
  BatchNorm1d layer(2);
  layer->update_statistics(false);
  layer->train();
  layer->forward(torch::randn({4, 2}));
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 0);
  layer->update_statistics(true);
  layer->eval();
  layer->use_statistics(Statistics::kBatch);
  layer->forward(torch::randn({4, 2}));
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 0);
  layer->train();
  layer->forward(torch::randn({4, 2}));
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 1);
}

TEST(ReferenceBatchNorm, LearnsItsAffineParametersOnlyIfTold) {
  BatchNorm1d layer(2);
  layer->learn_affine(false);
  layer->train();
  const Tensor x = torch::randn({4, 2}).requires_grad_(true);
  layer->forward(x).pow(3).sum().backward();
  EXPECT_FALSE(layer->weight.grad().defined());
  EXPECT_TRUE(x.grad().defined());
  layer->learn_affine(true);
  layer->forward(x).sum().backward();
  EXPECT_TRUE(layer->bias.grad().defined());
}

TEST(ReferenceBatchNorm, SurvivesCloneAndChangeOfDtype) {
  ReferenceBatchNorm2d layer(3);
  capture_reference(layer, torch::randn({4, 3, 2, 2}));
  layer->forward(torch::randn({4, 3, 2, 2}));
  const auto copy = std::dynamic_pointer_cast<ReferenceBatchNorm2dImpl>(layer->clone());
  ASSERT_TRUE(copy);
  const Tensor x = torch::randn({4, 3, 2, 2});
  EXPECT_EQ(distance(copy->forward(x), layer->forward(x)), 0);
  copy->running_mean.fill_(9);
  EXPECT_NE(distance(copy->running_mean, layer->running_mean), 0);
  layer->to(torch::kDouble);
  EXPECT_EQ(layer->ref_mean.scalar_type(), torch::kDouble);
  EXPECT_EQ(layer->forward(x.to(torch::kDouble)).scalar_type(), torch::kDouble);
  EXPECT_EQ(layer->num_ref_captures.scalar_type(), torch::kLong);
}

// A moving reference starts from the first batch's own statistics and is the plain average while that is
// faster than the momentum: after batches of means 2 and 6 it is 4, and the third batch is blended with that.
TEST(ReferenceBatchNorm, MovesItsReferenceAlong) {
  ReferenceBatchNorm1d layer(
      ReferenceBatchNormOptions(1).reference(Reference::kMoving).reference_weight(0.5).eps(1));
  to_double(layer);
  EXPECT_LT(distance(layer->forward(column({2, 2})), column({0, 0})), 1e-15);
  // mu' = (6 + 2)/2 = 4, var' = 0: y = (6 − 4)/sqrt(0 + 1)
  EXPECT_LT(distance(layer->forward(column({6, 6})), column({2, 2})), 1e-15);
  EXPECT_LT(distance(layer->ref_mean, torch::tensor({4.0}, torch::kDouble)), 1e-15);
  EXPECT_LT(distance(layer->forward(column({8, 8})), column({2, 2})), 1e-15);  // mu' = (8 + 4)/2 = 6
}

}  // namespace
}  // namespace refnorm
