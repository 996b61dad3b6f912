#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/execute.h>
#include <refnorm/deploy/fold.h>
#include <refnorm/deploy/trace.h>
#include <refnorm/norms/batch_statistics.h>

#include "tests/base/helpers.h"

namespace refnorm::deploy {
namespace {

using refnorm::testing::user_error_of;
using torch::Tensor;
using namespace torch::nn;  // NOLINT: layers of the test's networks

/// Everything that a classifier of LibTorch's own layers may consist of.
struct ClassifierImpl : Module {
  ClassifierImpl() {
    register_module("stem", stem);
    register_module("norm", norm);
    register_module("group", group);
    register_module("instance", instance);
    register_module("head", head);
  }
  Tensor forward(const Tensor& x) {
    Tensor y = norm(stem(x));
    torch::relu_(y);
    y = torch::max_pool2d(y, 3, 2, 1);
    y = y + group(y);
    y = torch::avg_pool2d(instance(y), 2, 2, 0, true);
    y = torch::adaptive_avg_pool2d(y, {1, 1}).flatten(1);
    return head(torch::dropout(y, 0.5, is_training()));
  }
  Conv2d stem{Conv2dOptions(3, 8, 3).padding(1)};
  BatchNorm2d norm{8};
  GroupNorm group{GroupNormOptions(2, 8)};
  InstanceNorm2d instance{InstanceNorm2dOptions(8).affine(true)};
  Linear head{8, 5};
};
TORCH_MODULE(Classifier);

TEST(Trace, ComputesWhatTheNetworkComputesForAnyBatch) {
  torch::manual_seed(3);
  Classifier model;
  for (int i = 0; i < 3; ++i) model->forward(torch::randn({6, 3, 13, 12}) * 2 + 1);  // running statistics
  Graph graph = trace(model, torch::zeros({2, 3, 13, 12}));
  EXPECT_TRUE(model->is_training()) << "as before";
  EXPECT_TRUE(model->stem->weight.requires_grad());
  model->eval();
  for (const std::int64_t batch : {1, 2, 7}) {
    const Tensor images = torch::randn({batch, 3, 13, 12});
    EXPECT_LT((Executor(graph)(images) - model->forward(images)).abs().max().item<double>(), 1e-5);
  }
  EXPECT_EQ(graph.nodes.front().name, "stem") << "layers keep their names";
  EXPECT_EQ(graph.nodes.back().name, "head");
  EXPECT_EQ(graph.nodes.back().shape, std::vector<std::int64_t>{5});
}

TEST(Trace, NamesTheOperatorThatCannotBeExported) {
  Sequential model(Conv2d(3, 4, 3), Sigmoid());
  const std::string message = user_error_of([&] { trace(model, torch::zeros({2, 3, 8, 8})); });
  EXPECT_NE(message.find("'aten::sigmoid' behind layer '0'"), std::string::npos) << message;
}

TEST(Trace, RefusesStatisticsOfTheBatch) {
  Sequential theirs(Conv2d(3, 4, 3), BatchNorm2d(BatchNorm2dOptions(4).track_running_stats(false)));
  const std::string message = user_error_of([&] { trace(theirs, torch::zeros({2, 3, 8, 8})); });
  EXPECT_NE(message.find("layer '1' normalizes by the statistics of the batch"), std::string::npos)
      << message;
}

TEST(Trace, RefusesArithmeticBetweenShapes) {
  struct BiasImpl : Module {
    Tensor forward(const Tensor& x) { return torch::relu(x) + torch::ones({3, 1, 1}); }
  };
  BiasImpl model;
  const std::string message = user_error_of([&] {
    trace(ModelView(model, [&](const Tensor& x) { return model.forward(x); }), torch::zeros({2, 3, 4, 4}));
  });
  EXPECT_NE(message.find("aten::add"), std::string::npos) << message;
}

}  // namespace
}  // namespace refnorm::deploy
