#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/batch_statistics.h>
#include <refnorm/norms/convert.h>
#include <refnorm/norms/reference_batch_norm.h>

#include "tests/norms/layers.h"

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::random_double;
using refnorm::testing::state_of;
using torch::Tensor;

/// conv -> norm -> relu -> linear -> norm, with slots.
struct SlotNetImpl : torch::nn::Cloneable<SlotNetImpl> {
  explicit SlotNetImpl(std::string given) : spec(std::move(given)) { reset(); }
  void reset() override {
    const NormFactory factory = norm_factory(NormSpec::parse(spec));
    conv = register_module("conv", torch::nn::Conv2d(2, 4, 3));
    norm1.fill(*this, "norm1", factory, 4, 2);
    linear = register_module("linear", torch::nn::Linear(16, 6));
    norm2.fill(*this, "norm2", factory, 6, 0);
  }
  Tensor forward(const Tensor& x) {
    return norm_act(norm2, linear(norm_act(norm1, conv(x)).flatten(1)), {}, false);
  }
  std::string spec;
  torch::nn::Conv2d conv{nullptr};
  torch::nn::Linear linear{nullptr};
  NormSlot norm1, norm2;
};
TORCH_MODULE(SlotNet);

Tensor pictures(std::int64_t count, std::uint64_t seed = 1) {
  return random_double({count, 2, 4, 4}, seed).to(torch::kFloat);
}

void disturb(torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  std::uint64_t seed = 70;
  for (const auto& [name, tensor] : state_of(model)) {
    if (name.ends_with("_var") || name.ends_with("weight"))
      tensor.copy_(random_double(tensor.sizes(), ++seed).abs() + 0.5);
    if (name.ends_with("_mean") || name.ends_with("bias"))
      tensor.copy_(random_double(tensor.sizes(), ++seed));
  }
}

TEST(NormSlot, IsASubmoduleUnderItsName) {
  SlotNet net("bn");
  EXPECT_TRUE(net->named_parameters().contains("norm1.weight"));
  EXPECT_TRUE(net->named_buffers().contains("norm2.running_mean"));
  EXPECT_EQ(find_layers<NormLayer>(*net).size(), 2U);
  NormSlot empty;
  EXPECT_THROW(empty->forward(torch::ones({1, 1})), Error);
}

TEST(Convert, ThereAndBackGivesTheSameOutputs) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"bn", "frozen_bn"},
                                                                                 {"bn", "rbn"},
                                                                                 {"bn", "brn"},
                                                                                 {"bn", "ghost:4"},
                                                                                 {"gn:2", "ln"},
                                                                                 {"bn", "sn"}}) {
    SlotNet net(from);
    disturb(*net);
    net->eval();
    const Tensor x = pictures(5);
    const Tensor expected = net->forward(x);
    const auto there = convert(*net, NormSpec::parse(to));
    EXPECT_EQ(there.converted.size(), 2U);
    EXPECT_TRUE(there.unreached.empty());
    convert(*net, NormSpec::parse(from));
    EXPECT_LT(distance(net->forward(x), expected), 1e-6) << from << " to " << to;
  }
}

TEST(Convert, KeepsWhatMeansTheSame) {
  SlotNet net("bn:eps=0.01,momentum=0.25");
  disturb(*net);
  net->norm1->train(false);
  net->norm2->learn_affine(false);
  net->to(torch::kDouble);
  const auto before = state_of(net->norm1.layer());
  std::map<std::string, Tensor> kept;
  for (const auto& [name, tensor] : before) kept.emplace(name, tensor.clone());
  const ConversionReport report = convert(*net, NormSpec::parse("rbn:weight=0.3"));
  const auto layer = std::dynamic_pointer_cast<ReferenceBatchNormBase>(net->named_modules()["norm1"]);
  ASSERT_TRUE(layer);
  EXPECT_EQ(layer.get(), &net->norm1.layer());
  EXPECT_EQ(layer->options.eps(), 0.01);
  EXPECT_EQ(layer->options.momentum(), 0.25);
  EXPECT_EQ(layer->options.reference_weight(), 0.3);
  EXPECT_FALSE(layer->is_training());
  EXPECT_EQ(layer->weight.scalar_type(), torch::kDouble);
  for (const auto& [name, tensor] : state_of(*layer)) {
    if (!kept.contains(name)) continue;
    EXPECT_EQ(distance(tensor, kept.at(name)), 0) << name;
  }
  EXPECT_FALSE(layer->reference_captured());
  for (const Tensor& parameter : net->norm2->parameters()) EXPECT_FALSE(parameter.requires_grad());
  EXPECT_EQ(report.converted.at(0).name, "norm1");
  EXPECT_EQ(report.converted.at(0).carried.size(), 5U);
  EXPECT_TRUE(report.converted.at(0).lost.empty());
  // What means nothing to group norm is named.
  const ConversionReport lost = convert(*net, NormSpec::parse("gn:2"));
  EXPECT_EQ(lost.converted.at(0).carried, (std::vector<std::string>{"weight", "bias"}));
  EXPECT_NE(lost.to_string().find("lost running_mean, running_var, num_batches_tracked, ref_mean"),
            std::string::npos)
      << lost.to_string();
}

TEST(Convert, FillsAndEmptiesSlots) {
  SlotNet net("none");
  convert(*net, NormSpec::parse("in"));
  EXPECT_TRUE(net->named_parameters().contains("norm1.weight"));
  EXPECT_FALSE(net->named_parameters().contains("norm2.weight"))
      << "instance norm is left out on a dense layer";
  convert(*net, NormSpec::parse("bn"));
  EXPECT_EQ(net->named_parameters()["norm2.weight"].size(0), 6) << "and its place is remembered";
  convert(*net, NormSpec::parse("none"));
  EXPECT_EQ(find_layers<ChannelNorm>(*net).size(), 0U);
}

TEST(Convert, LeavesTheModelAloneWhereALayerCannotBeMade) {
  SlotNet net("bn");
  const std::string message =
      testing::message_of<UserError>([&] { convert(*net, NormSpec::parse("gn:4")); });  // 4 divides 4, not 6
  EXPECT_EQ(message, "group_norm: 6 channels do not divide into 4 groups, expected one of 1, 2, 3, 6");
  EXPECT_EQ(find_layers<BatchStatisticsLayer>(*net).size(), 2U);
}

TEST(Convert, SurvivesCloning) {
  SlotNet net("bn");
  convert(*net, NormSpec::parse("gn:2"));
  disturb(*net);
  const auto copy = std::dynamic_pointer_cast<SlotNetImpl>(net->clone());
  const Tensor x = pictures(3);
  EXPECT_EQ(distance(copy->forward(x), net->forward(x)), 0);
  convert(*copy, NormSpec::parse("ln"));
  EXPECT_EQ(net->norm1->name(), SlotNet("gn:2")->norm1->name()) << "the clone has slots of its own";
}

TEST(Convert, ReplacesLayersOfSequentials) {
  torch::nn::Sequential net(
      torch::nn::Conv2d(2, 4, 3), torch::nn::BatchNorm2d(torch::nn::BatchNorm2dOptions(4).eps(0.02)),
      torch::nn::ReLU(), torch::nn::Flatten(), torch::nn::Linear(16, 6), torch::nn::BatchNorm1d(6));
  disturb(*net);
  net->eval();
  const Tensor x = pictures(5);
  const Tensor expected = net->forward(x);
  const ConversionReport report = convert(*net, NormSpec::parse("rbn:fixed"));
  EXPECT_EQ(report.converted.size(), 2U) << report.to_string();
  EXPECT_EQ(report.converted.at(1).name, "5");
  EXPECT_LT(distance(net->forward(x), expected), 1e-6);
  EXPECT_TRUE(net->named_buffers().contains("1.ref_mean"));
  const auto copy = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(net->clone());
  EXPECT_LT(distance(copy->forward(x), expected), 1e-6);
  // And through the two lines of a training loop.
  net->train();
  ReferenceKeeper keeper(net, x);
  EXPECT_TRUE(torch::isfinite(keeper.forward(x)).all().item<bool>());
  // After a dense layer there are no positions: sn has no instance statistics there.
  convert(*net, NormSpec::parse("sn"));
  EXPECT_EQ(net->named_parameters()["1.mean_weight"].size(0), 3);
  EXPECT_EQ(net->named_parameters()["5.mean_weight"].size(0), 2);
}

struct ForeignImpl : torch::nn::Module {
  ForeignImpl() {
    norm = register_module("norm", torch::nn::BatchNorm2d(4));
    body = register_module("body",
                           torch::nn::Sequential(torch::nn::GroupNorm(2, 4),
                                                 torch::nn::LayerNorm(torch::nn::LayerNormOptions({4}))));
  }
  torch::nn::BatchNorm2d norm{nullptr};
  torch::nn::Sequential body{nullptr};
};

TEST(Convert, ReportsWhatItCannotReach) {
  ForeignImpl net;
  const ConversionReport report = convert(net, NormSpec::parse("ln"));
  ASSERT_EQ(report.converted.size(), 1U);
  EXPECT_EQ(report.converted[0].name, "body.0");
  ASSERT_EQ(report.unreached.size(), 2U);
  EXPECT_EQ(report.unreached[0].name, "norm");
  EXPECT_EQ(report.unreached[0].reason, "a typed member of a module without norm slots");
  EXPECT_EQ(report.unreached[1].name, "body.1");
  EXPECT_EQ(report.unreached[1].reason, "it normalizes the last axes, not channels");
  EXPECT_NE(report.to_string().find("norm: torch::nn::BatchNorm2d stays"), std::string::npos);
}

TEST(Convert, ComesBackFromNone) {
  torch::nn::Sequential net(torch::nn::Conv2d(2, 4, 3), torch::nn::BatchNorm2d(4), torch::nn::ReLU());
  net->to(torch::kDouble);
  convert(*net, NormSpec::parse("none"));
  const ConversionReport report = convert(*net, NormSpec::parse("gn:2"));
  EXPECT_EQ(report.to_string(), "1: refnorm::NoNorm -> refnorm::GroupNorm\n");
  EXPECT_EQ(net->named_parameters()["1.weight"].scalar_type(), torch::kDouble) << "the model's type";
}

TEST(Convert, KeepsTheLackOfParametersAndOfRunningStatistics) {
  torch::nn::Sequential net(
      torch::nn::Linear(3, 4),
      torch::nn::BatchNorm1d(torch::nn::BatchNorm1dOptions(4).affine(false).track_running_stats(false)));
  net->eval();
  const Tensor x = random_double({6, 3}, 3).to(torch::kFloat);
  const Tensor expected = net->forward(x);
  convert(*net, NormSpec::parse("bn"));
  EXPECT_FALSE(net->named_parameters().contains("1.weight"));
  EXPECT_LT(distance(net->forward(x), expected), 1e-6);
}

TEST(Convert, KnowsThatFlattenedFeaturesHaveNoPositions) {
  torch::nn::Sequential net(torch::nn::Conv2d(2, 4, 3), torch::nn::Flatten(), torch::nn::BatchNorm1d(16));
  convert(*net, NormSpec::parse("in"));
  EXPECT_EQ(net->forward(pictures(3)).sizes().vec(), (std::vector<std::int64_t>{3, 16}));
}

TEST(Convert, DoesNotTakeAveragesOfInstancesForThoseOfBatches) {
  torch::nn::Sequential net(
      torch::nn::InstanceNorm2d(torch::nn::InstanceNorm2dOptions(4).affine(true).track_running_stats(true)));
  const ConversionReport report = convert(*net, NormSpec::parse("bn"));
  EXPECT_EQ(report.converted.at(0).carried, (std::vector<std::string>{"weight", "bias"}));
}

}  // namespace
}  // namespace refnorm
