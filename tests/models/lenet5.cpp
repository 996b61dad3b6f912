#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/tap.h>

#include "tests/support/tensors.h"

namespace refnorm::models {
namespace {

using refnorm::testing::distance;
using refnorm::testing::message_of;

std::shared_ptr<Classifier> lenet(const char* norm, std::uint64_t seed = 1) {
  auto model = make_model("lenet5", {norm_factory(NormSpec::parse(norm)), 1, 10});
  model->initialize(seed);
  return model;
}

TEST(LeNet5, HasTheParametersOfItsLayers) {
  std::int64_t count = 0;
  for (const auto& parameter : lenet("none")->parameters()) count += parameter.numel();
  // 6·25+6, 16·6·25+16, 400·120+120, 120·84+84, 84·10+10
  EXPECT_EQ(count, 156 + 2416 + 48120 + 10164 + 850);
  const auto model = lenet("bn");
  EXPECT_EQ(model->named_parameters()["norm4.weight"].size(0), 84);
  EXPECT_TRUE(model->named_buffers().contains("norm1.running_mean"));
}

TEST(LeNet5, ScoresTenClassesAndNamesItsLayersInOrder) {
  const auto model = lenet("bn");
  std::vector<std::string> names;
  const ops::ObserveTaps observe(
      [&](std::string_view name, const torch::Tensor&) { names.emplace_back(name); });
  EXPECT_EQ(model->forward(torch::randn({4, 1, 28, 28})).sizes().vec(), (std::vector<std::int64_t>{4, 10}));
  EXPECT_EQ(names, (std::vector<std::string>{"conv1", "norm1", "conv2", "norm2", "fc1", "norm3", "fc2",
                                             "norm4", "fc3"}));
}

// relu(batch norm) of what the layer before gave, by LibTorch's own operators.
TEST(LeNet5, NormalizesBeforeEachActivation) {
  const auto model = lenet("bn");
  torch::Tensor before;
  const ops::ObserveTaps observe([&](std::string_view name, const torch::Tensor& x) {
    if (name.starts_with("norm")) {
      const torch::Tensor plain =
          torch::relu(torch::batch_norm(before, {}, {}, {}, {}, true, 0.1, 1e-5, false));
      EXPECT_LT(distance(x, plain), 1e-5) << name;
    }
    before = x;
  });
  model->forward(torch::randn({16, 1, 28, 28}));
}

TEST(LeNet5, RefusesOtherShapes) {
  EXPECT_EQ(message_of<UserError>([] {
              lenet("none")->forward(torch::ones({2, 3, 28, 28}));
            }),
            "lenet5: expected images of shape [N, 1, 28, 28], got [2, 3, 28, 28]");
}

TEST(Initialize, GivesEveryArmOfASeedTheSameWeights) {
  const auto plain = lenet("none", 7)->named_parameters();
  for (const char* norm : {"bn", "rbn:fixed"}) {
    const auto other = lenet(norm, 7)->named_parameters();
    for (const auto& item : plain) EXPECT_EQ(distance(other[item.key()], item.value()), 0) << item.key();
  }
  EXPECT_NE(distance(lenet("none", 8)->named_parameters()["conv1.weight"], plain["conv1.weight"]), 0);
}

TEST(Initialize, DrawsUniformlyWithinOneOverTheRootOfTheFanIn) {
  const auto parameters = lenet("none", 3)->named_parameters();
  const auto& weight = parameters["fc1.weight"];
  const double bound = 1 / std::sqrt(400.0);
  EXPECT_LE(weight.abs().max().item<double>(), bound);
  EXPECT_GT(weight.abs().max().item<double>(), 0.999 * bound);  // of 48,000 draws
  // A uniform distribution has variance bound^2/3; over 48,000 draws its estimate deviates by 0.4 % (one
  // sigma).
  EXPECT_NEAR(weight.var().item<double>() / (bound * bound / 3), 1, 0.02);
  EXPECT_LE(parameters["fc1.bias"].abs().max().item<double>(), bound);
}

TEST(Initialize, LeavesTheGlobalGeneratorAlone) {
  torch::manual_seed(1);
  const auto expected = torch::rand({3});
  auto model = make_model("lenet5", {norm_factory(NormSpec::parse("bn")), 1, 10});
  torch::manual_seed(1);
  model->initialize(5);
  EXPECT_EQ(distance(torch::rand({3}), expected), 0);
}

TEST(MakeModel, NamesTheNearestKind) {
  EXPECT_EQ(message_of<UserError>([] {
              make_model("lenet", {norm_factory(NormSpec::parse("bn")), 1, 10});
            }),
            "model: 'lenet' is not known, did you mean 'lenet5'?");
}

TEST(LeNet5, ClonesWithItsNorms) {
  const auto model = lenet("bn");
  const auto copy = std::dynamic_pointer_cast<Classifier>(model->clone());
  ASSERT_TRUE(copy);
  model->eval();
  copy->eval();
  const auto x = torch::randn({2, 1, 28, 28});
  EXPECT_EQ(distance(copy->forward(x), model->forward(x)), 0);
}

}  // namespace
}  // namespace refnorm::models
