#include <limits>

#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/population.h>
#include <refnorm/norms/reference_batch_norm.h>

#include "tests/support/tensors.h"

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::message_of;
using refnorm::testing::random_double;
using torch::Tensor;

LayerPopulation collect(torch::nn::Module& layer, const std::function<void(const Tensor&)>& forward,
                        const std::vector<Tensor>& batches) {
  const PopulationPass pass(layer);
  for (const Tensor& batch : batches) forward(batch);
  return pass.finish().begin()->second;
}

TEST(Population, RawBetweenIsTheVarianceOfAllValuesHoweverTheyAreSplit) {
  const Tensor all = random_double({60, 3, 2, 2}, 1) * 4 + 7;
  for (const std::vector<std::int64_t>& sizes :
       {std::vector<std::int64_t>{60}, {30, 30}, {20, 20, 20}, {1, 2, 3, 54}, {7, 13, 40}, {59, 1}}) {
    ReferenceBatchNorm2d layer(3);
    layer->to(torch::kDouble);
    capture_reference(layer, all.narrow(0, 0, 5));
    const auto found = collect(
        *layer, [&](const Tensor& x) { layer->forward(x); }, all.split_with_sizes(sizes));
    EXPECT_LT(distance(found[PopulationReading::kRawBetween].mean, all.mean({0, 2, 3})), 1e-13);
    EXPECT_LT(
        distance(found[PopulationReading::kRawBetween].var, all.var(torch::IntArrayRef({0, 2, 3}), false)),
        1e-13);
  }
}

// Two batches of two samples of one value: {0, 2} and {4, 10}. mu_B 1 and 7, var_B 1 and 9; reference mean 1,
// var 3
// ({1 ± sqrt 3}); m = 2, l1 = 1/3: mu' = 1 and 5, var' = 5/3 and 7. Means: raw 4, blended 3.
// printed: 2/1·E[v]: raw 2·5 = 10, blended 2·13/3 = 26/3. between: E[v] + Var(mu): raw 5 + 9 = 14, blended
// 13/3 + 4 = 25/3.
TEST(Population, GivesTheFourReadingsWorkedByHand) {
  ReferenceBatchNorm1d layer(ReferenceBatchNormOptions(1).reference_weight(std::nullopt));
  layer->to(torch::kDouble);
  const double root = std::sqrt(3.0);
  capture_reference(layer, torch::tensor({1 - root, 1 + root}, torch::kDouble).unsqueeze(1));
  const auto found = collect(*layer, [&](const Tensor& x) { layer->forward(x); },
                             {torch::tensor({0.0, 2.0}, torch::kDouble).unsqueeze(1),
                              torch::tensor({4.0, 10.0}, torch::kDouble).unsqueeze(1)});
  const auto expect = [&](PopulationReading reading, double mean, double var) {
    EXPECT_NEAR(found[reading].mean.item<double>(), mean, 1e-12) << to_string(reading);
    EXPECT_NEAR(found[reading].var.item<double>(), var, 1e-12) << to_string(reading);
  };
  expect(PopulationReading::kRawPrinted, 4, 10);
  expect(PopulationReading::kRawBetween, 4, 14);
  expect(PopulationReading::kBlendedPrinted, 3, 26.0 / 3);
  expect(PopulationReading::kBlendedBetween, 3, 25.0 / 3);
}

// l2 = 1 − 0.25: Var(mu') = 0.75^2 · Var(mu_B) for any batches of one size.
TEST(Population, BlendingScalesTheVarianceBetweenBatches) {
  ReferenceBatchNorm1d layer(ReferenceBatchNormOptions(2).reference_weight(0.25));
  layer->to(torch::kDouble);
  capture_reference(layer, random_double({9, 2}, 2));
  const Tensor all = random_double({40, 2}, 3) * 2 + torch::arange(40, torch::kDouble).unsqueeze(1);
  const auto found = collect(
      *layer, [&](const Tensor& x) { layer->forward(x); }, all.split(8));
  const Tensor means = all.view({5, 8, 2}).mean(1);
  const Tensor vars = all.view({5, 8, 2}).var(1, false);
  const Tensor expected = (vars * 0.75 + layer->ref_var * 0.25).mean(0) + means.var(0, false) * (0.75 * 0.75);
  EXPECT_LT(distance(found[PopulationReading::kBlendedBetween].var, expected), 1e-13);
}

TEST(Population, EvaluatesByOneAffineMap) {
  BatchNorm1d layer(2);
  layer->to(torch::kDouble);
  const Tensor all = random_double({40, 2}, 4) * 3 - 1;
  PopulationStatistics statistics;
  {
    const PopulationPass pass(*layer);
    for (const Tensor& batch : all.split(10)) layer->forward(batch);
    statistics = pass.finish();
  }
  EXPECT_EQ(layer->num_batches_tracked.item<std::int64_t>(), 0) << "the pass updated running statistics";
  EXPECT_EQ(layer->statistics(), Statistics::kByMode);
  EXPECT_TRUE(layer->updates_statistics());
  set_population(*layer, statistics, PopulationReading::kRawBetween);
  layer->eval();
  layer->use_statistics(Statistics::kPopulation);
  const Tensor x = random_double({5, 2}, 5);
  const Tensor a = (all.var(0, false) + 1e-5).rsqrt();
  EXPECT_LT(distance(layer->forward(x), x * a - all.mean(0) * a), 1e-13);
}

TEST(Population, LeavesOutBatchesThatAreNotFinite) {
  BatchNorm1d layer(2);
  Tensor bad = torch::randn({4, 2});
  bad[0][0] = std::numeric_limits<float>::quiet_NaN();
  const Tensor good = torch::randn({4, 2});
  const auto found = collect(*layer, [&](const Tensor& x) { layer->forward(x); }, {good, bad});
  EXPECT_LT(distance(found[PopulationReading::kRawBetween].mean, good.mean(0)), 1e-6);
  const PopulationPass pass(*layer);
  layer->forward(bad);
  EXPECT_NE(message_of<UserError>([&] { pass.finish(); }).find("saw no batch"), std::string::npos);
}

TEST(Population, NamesALayerThatWasNeverTaken) {
  BatchNorm1d layer(2);
  layer->eval();
  layer->use_statistics(Statistics::kPopulation);
  EXPECT_THROW(layer->forward(torch::ones({2, 2})), UserError);
  EXPECT_THROW(set_population(*layer, {}, PopulationReading::kRawBetween), UserError);
  EXPECT_THROW(layer->set_population(torch::ones({3}), torch::ones({3})), UserError);
}

// A detector's frozen stages train beside norms that are not: they see no statistics of batches, and need
// none.
TEST(Population, LeavesFrozenLayersAlone) {
  torch::nn::Sequential net(BatchNorm1d(2), BatchNorm1d(2));
  net->to(torch::kDouble);
  freeze(*net->ptr(0));
  const Tensor x = random_double({8, 2}, 6) * 2 + 1;
  PopulationStatistics statistics;
  {
    const PopulationPass pass(*net);
    EXPECT_LT(distance(net->ptr(0)->as<BatchNorm1dImpl>()->forward(x), x / std::sqrt(1 + 1e-5)), 1e-12)
        << "by its running statistics, 0 and 1, and not the batch's";
    net->forward(x);
    statistics = pass.finish();
  }
  EXPECT_EQ(statistics.size(), 1U);
  EXPECT_TRUE(statistics.contains("1"));
  set_population(*net, statistics, PopulationReading::kRawBetween);
  EXPECT_EQ(net->ptr(0)->as<BatchNorm1dImpl>()->statistics(), Statistics::kRunning);
  EXPECT_FALSE(net->ptr(0)->as<BatchNorm1dImpl>()->has_population());
}

}  // namespace
}  // namespace refnorm
