#include <map>

#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <refnorm/base/error.h>
#include <refnorm/models/resnet.h>
#include <refnorm/models/vgg16.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/tap.h>

#include "tests/support/tensors.h"

namespace refnorm::models {
namespace {

using refnorm::testing::distance;
using refnorm::testing::message_of;
using torch::Tensor;

ModelOptions options(const std::string& norm, std::int64_t channels, std::int64_t classes,
                     std::int64_t side) {
  return {norm_factory(NormSpec::parse(norm)), channels, classes, side};
}

std::int64_t parameters_of(const Classifier& model) {
  std::int64_t count = 0;
  for (const auto& parameter : model.parameters()) count += parameter.numel();
  return count;
}

// The published counts of torchvision's documentation, which has 1000 classes and batch norm.
TEST(Networks, HaveTheKnownNumbersOfParameters) {
  EXPECT_EQ(parameters_of(*make_model("resnet18", options("bn", 3, 1000, 224))), 11'689'512);
  EXPECT_EQ(parameters_of(*make_model("resnet34", options("bn", 3, 1000, 224))), 21'797'672);
  EXPECT_EQ(parameters_of(*make_model("resnet50", options("bn", 3, 1000, 224))), 25'557'032);
  EXPECT_EQ(parameters_of(*make_model("resnet101", options("bn", 3, 1000, 224))), 44'549'160);
  EXPECT_EQ(parameters_of(*make_model("vgg16", options("none", 3, 1000, 224))), 138'357'544);
}

TEST(Networks, EveryNormTrainsThem) {
  for (const char* norm : {"none", "bn", "rbn", "rbn:live", "brn", "ln", "in", "gn:32", "sn", "ghost:2"}) {
    for (const char* kind : {"resnet18", "resnet50"}) {
      const auto model = make_model(kind, options(norm, 1, 5, 64));
      model->initialize(2);
      ReferenceKeeper reference(*model, torch::randn({2, 1, 64, 64}));
      const Tensor scores = reference.forward(torch::randn({4, 1, 64, 64}));
      EXPECT_EQ(scores.sizes().vec(), (std::vector<std::int64_t>{4, 5})) << kind << " " << norm;
      EXPECT_TRUE(torch::isfinite(scores).all().item<bool>()) << kind << " " << norm;
      scores.sum().backward();
      EXPECT_TRUE(model->named_parameters()["conv1.weight"].grad().defined()) << kind << " " << norm;
    }
  }
}

// Every block starts as its shortcut, since its last norm's weight is 0.
TEST(ResNet, StartsWithBlocksThatPassTheirInputOn) {
  ResNet model(50, options("bn", 3, 10, 64));
  model->initialize(1);
  std::map<std::string, Tensor> outputs;
  const ops::ObserveTaps observe(
      [&](std::string_view name, const Tensor& x) { outputs[std::string(name)] = x; });
  model->forward(torch::randn({2, 3, 64, 64}));
  EXPECT_EQ(distance(outputs.at("layer1.1.bn3"), outputs.at("layer1.0.bn3")), 0);
  EXPECT_EQ(distance(outputs.at("layer1.0.bn3"), torch::relu(outputs.at("layer1.0.downsample.1"))), 0);
  EXPECT_EQ(model->named_parameters()["layer3.5.bn3.weight"].abs().max().item<float>(), 0);
  EXPECT_EQ(model->named_parameters()["layer3.5.bn2.weight"].min().item<float>(), 1);
}

TEST(ResNet, HasTheStrideInTheMiddleOfABottleneck) {
  ResNet model(50, options("bn", 3, 10, 64));
  std::map<std::string, std::int64_t> heights;
  const ops::ObserveTaps observe([&](std::string_view name, const Tensor& x) {
    heights[std::string(name)] = x.dim() == 4 ? x.size(2) : 0;
  });
  model->forward(torch::randn({2, 3, 64, 64}));
  EXPECT_EQ(heights.at("conv1"), 32);
  EXPECT_EQ(heights.at("layer1.2.conv3"), 16);
  EXPECT_EQ(heights.at("layer2.0.conv1"), 16);
  EXPECT_EQ(heights.at("layer2.0.conv2"), 8);
  EXPECT_EQ(heights.at("layer4.2.conv3"), 2);
}

TEST(ResNet, NamesAnotherDepthAndAnotherShape) {
  EXPECT_EQ(message_of<UserError>([] { ResNet(20, options("bn", 3, 10, 64)); }),
            "resnet: depth 20, expected 18, 34, 50 or 101");
  EXPECT_EQ(message_of<UserError>([] {
              ResNet(18, options("bn", 3, 10, 64))->forward(torch::ones({2, 1, 8, 8}));
            }),
            "resnet18: expected images of shape [N, 3, H, W], got [2, 1, 8, 8]");
}

TEST(ResNet, ClonesWithItsNorms) {
  ResNet model(18, options("rbn", 3, 4, 32));
  model->initialize(1);
  const auto copy = std::dynamic_pointer_cast<Classifier>(model->clone());
  ASSERT_TRUE(copy);
  model->eval();
  copy->eval();
  const Tensor x = torch::randn({2, 3, 32, 32});
  EXPECT_EQ(distance(copy->forward(x), model->forward(x)), 0);
}

// x' in place of relu(x' + F(x)): with the branch's last weight 0, a block without a projection hands on what
// it got.
TEST(ResNet, BeginsWithoutItsBranchesUnlessAskedForThem) {
  ModelOptions given = options("bn", 3, 4, 32);
  ResNet without(18, given);
  given.zero_init_residual = false;
  ResNet with(18, given);
  without->initialize(3);
  with->initialize(3);
  const auto names = with->named_parameters();
  for (const auto& parameter : without->named_parameters()) {
    const std::string& name = parameter.key();
    const bool last = name.starts_with("layer") && name.ends_with("bn2.weight");
    const Tensor& other = names[name];
    EXPECT_TRUE(torch::equal(other, last ? torch::ones_like(other) : parameter.value())) << name;
    if (last) {
      EXPECT_EQ(parameter.value().abs().max().item<float>(), 0) << name;
    }
  }
  const Tensor x = torch::rand({2, 64, 8, 8});
  EXPECT_EQ(distance(without->layer1->forward(x), x), 0);
  EXPECT_GT(distance(with->layer1->forward(x), x), 0.1);
}

// A picture of 28x28 is one of 32x32 with two rows and columns of zeros on each side.
TEST(VGG16, PadsDigitsWithZeros) {
  VGG16 digits(options("bn", 1, 10, 28));
  VGG16 padded(options("bn", 1, 10, 32));
  digits->initialize(1);
  padded->initialize(1);
  digits->eval();
  padded->eval();
  const Tensor x = torch::randn({2, 1, 28, 28});
  EXPECT_LT(distance(digits->forward(x), padded->forward(torch::constant_pad_nd(x, {2, 2, 2, 2}))), 1e-6);
}

TEST(VGG16, NormalizesAfterEachOfThirteenConvolutions) {
  VGG16 model(options("bn", 1, 10, 32));
  Tensor before;
  int norms = 0;
  const ops::ObserveTaps observe([&](std::string_view name, const Tensor& x) {
    if (before.defined() && name.starts_with("features") && before.sizes() == x.sizes() &&
        x.min().item<float>() >= 0) {
      const Tensor plain = torch::relu(torch::batch_norm(before, {}, {}, {}, {}, true, 0.1, 1e-5, false));
      EXPECT_LT(distance(x, plain), 1e-4) << name;
      ++norms;
    }
    before = x;
  });
  model->forward(torch::randn({4, 1, 32, 32}));
  EXPECT_EQ(norms, 13);
}

TEST(VGG16, NamesPicturesThatItCannotTake) {
  EXPECT_EQ(message_of<UserError>([] { VGG16(options("bn", 1, 10, 30)); }),
            "vgg16: pictures of 30x30, expected 28x28, or 32x32 and larger");
  EXPECT_EQ(message_of<UserError>([] {
              VGG16(options("bn", 1, 10, 32))->forward(torch::ones({1, 1, 28, 28}));
            }),
            "vgg16: expected images of shape [N, 1, 32, 32], got [1, 1, 28, 28]");
}

// N(0, 2/f): over 590,000 draws the estimate of the variance deviates by 0.2 % (one standard error).
TEST(Initialize, DrawsByHeAndScoresSmall) {
  VGG16 model(options("none", 1, 10, 32));
  model->initialize(4);
  const auto parameters = model->named_parameters();
  const Tensor weight = parameters["features.17.weight"];
  EXPECT_EQ(weight.sizes().vec(), (std::vector<std::int64_t>{256, 256, 3, 3}));
  EXPECT_NEAR(weight.var(/*unbiased=*/false).item<double>(), 2.0 / (256 * 9), 0.01 * 2.0 / (256 * 9));
  EXPECT_NEAR(weight.mean().item<double>(), 0, 4 * std::sqrt(2.0 / (256 * 9) / 589'824));
  // 41,000 draws: 0.4 % of the deviation.
  EXPECT_NEAR(parameters["classifier.6.weight"].std().item<double>(), 0.01, 2e-4);
  EXPECT_EQ(parameters["features.17.bias"].abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace refnorm::models
