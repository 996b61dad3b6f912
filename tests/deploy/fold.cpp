#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <refnorm/deploy/execute.h>
#include <refnorm/deploy/fold.h>
#include <refnorm/deploy/trace.h>

namespace refnorm::deploy {
namespace {

using torch::Tensor;
using torch::nn::BatchNorm1d;
using torch::nn::BatchNorm2d;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;
using torch::nn::ConvTranspose2d;
using torch::nn::ConvTranspose2dOptions;
using torch::nn::Linear;
using torch::nn::ReLU;
using torch::nn::Sequential;

/// Statistics and parameters as training leaves them: none is 0 or 1.
template <class Norm>
Norm trained(Norm norm) {
  const torch::NoGradGuard no_grad;
  norm->weight.uniform_(0.5, 1.5);
  norm->bias.uniform_(-1, 1);
  norm->running_mean.uniform_(-1, 1);
  norm->running_var.uniform_(0.5, 2);
  return norm;
}

/// The largest distance of the folded network, in float32, from LibTorch's own operators in double.
double distance(Sequential model, const Graph& graph, const Tensor& images) {
  const Tensor ours = Executor(graph)(images);
  model->eval();
  model->to(torch::kDouble);
  const Tensor expected = model->forward(images.to(torch::kDouble));
  model->to(torch::kFloat);
  EXPECT_EQ(ours.sizes(), expected.sizes());
  return (ours - expected).abs().max().item<double>();
}

std::vector<Op> ops_of(const Graph& graph) {
  std::vector<Op> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op);
  return ops;
}

class Fold : public testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(7); }

  /// A layer, a norm and ReLU become a layer and ReLU, and compute the same.
  void goes_into_layer_before(const Sequential& model, const Tensor& images, Op layer) {
    Graph graph = trace(
        ModelView(*model.ptr(), [&](const Tensor& x) { return Sequential(model)->forward(x); }), images);
    EXPECT_EQ(ops_of(graph), (std::vector<Op>{layer, Op::kAffine, Op::kRelu}));
    EXPECT_LT(distance(model, graph, images), 2e-5) << "before folding";
    const FoldReport report = fold(graph);
    EXPECT_EQ(report.into_before.size(), 1U);
    EXPECT_EQ(ops_of(graph), (std::vector<Op>{layer, Op::kRelu}));
    EXPECT_LT(distance(model, graph, images), 2e-5);
  }
};

TEST_F(Fold, ConvolutionsOfAllKindsTakeTheNormBehindThem) {
  const Tensor images = torch::randn({3, 4, 11, 9});
  for (const Conv2dOptions& options :
       {Conv2dOptions(4, 6, 3), Conv2dOptions(4, 6, 3).bias(false), Conv2dOptions(4, 6, 3).groups(2),
        Conv2dOptions(4, 4, 3).groups(4), Conv2dOptions(4, 6, 3).stride({2, 1}),
        Conv2dOptions(4, 6, 3).padding(2), Conv2dOptions(4, 6, 3).dilation({2, 3}),
        Conv2dOptions(4, 6, {1, 5}).padding({0, 2}).groups(2).stride(2)}) {
    goes_into_layer_before(Sequential(Conv2d(options), trained(BatchNorm2d(options.out_channels())), ReLU()),
                           images, Op::kConv);
  }
}

TEST_F(Fold, TransposedConvolutionsTakeTheNormBehindThem) {
  const Tensor images = torch::randn({3, 4, 5, 6});
  for (const ConvTranspose2dOptions& options :
       {ConvTranspose2dOptions(4, 6, 3),
        ConvTranspose2dOptions(4, 6, 3).groups(2).stride(2).output_padding(1),
        ConvTranspose2dOptions(4, 6, 3).padding(1).dilation(2).bias(false)}) {
    goes_into_layer_before(
        Sequential(ConvTranspose2d(options), trained(BatchNorm2d(options.out_channels())), ReLU()), images,
        Op::kConvTranspose);
  }
}

TEST_F(Fold, DenseLayersTakeTheNormBehindThem) {
  goes_into_layer_before(Sequential(Linear(7, 5), trained(BatchNorm1d(5)), ReLU()), torch::randn({4, 7}),
                         Op::kLinear);
}

TEST_F(Fold, ANormGoesIntoTheLayerBehindItWhereThatDoesNotPad) {
  const Tensor images = torch::randn({3, 4, 6, 6});
  Sequential model(ReLU(), trained(BatchNorm2d(4)), Conv2d(Conv2dOptions(4, 6, 3).groups(2)));
  Graph graph = trace(model, images);
  EXPECT_EQ(fold(graph).into_after.size(), 1U);
  EXPECT_EQ(ops_of(graph), (std::vector<Op>{Op::kRelu, Op::kConv}));
  EXPECT_LT(distance(model, graph, images), 2e-5);
}

TEST_F(Fold, ANormBeforePaddingStays) {
  const Tensor images = torch::randn({3, 4, 6, 6});
  Sequential model(ReLU(), trained(BatchNorm2d(4)), Conv2d(Conv2dOptions(4, 6, 3).padding(1)));
  Graph graph = trace(model, images);
  const FoldReport report = fold(graph);
  EXPECT_EQ(report.kept.size(), 1U);
  EXPECT_EQ(ops_of(graph), (std::vector<Op>{Op::kRelu, Op::kAffine, Op::kConv}));
  EXPECT_LT(distance(model, graph, images), 2e-5) << "zeros of the padding do not pass the norm";
}

TEST_F(Fold, ANormThatShiftsNothingPassesPadding) {
  const Tensor images = torch::randn({3, 4, 6, 6});
  BatchNorm2d norm = trained(BatchNorm2d(4));
  {
    const torch::NoGradGuard no_grad;
    norm->bias.zero_();
    norm->running_mean.zero_();
  }
  Sequential model(ReLU(), norm, ConvTranspose2d(ConvTranspose2dOptions(4, 6, 3).padding(1)));
  Graph graph = trace(model, images);
  EXPECT_EQ(fold(graph).into_after.size(), 1U);
  EXPECT_LT(distance(model, graph, images), 2e-5);
}

TEST_F(Fold, TwoNormsInARowBecomeOne) {
  const Tensor images = torch::randn({3, 4, 6, 6});
  Sequential model(ReLU(), trained(BatchNorm2d(4)), trained(BatchNorm2d(4)), ReLU());
  Graph graph = trace(model, images);
  fold(graph);
  EXPECT_EQ(ops_of(graph), (std::vector<Op>{Op::kRelu, Op::kAffine, Op::kRelu}));
  EXPECT_LT(distance(model, graph, images), 2e-5);
}

/// y = relu(bn(conv(x)) + conv(x)): the norm must not reach the sum's other part.
struct BranchImpl : torch::nn::Module {
  BranchImpl() {
    register_module("conv", conv);
    register_module("bn", bn);
  }
  Tensor forward(const Tensor& x) {
    const Tensor made = conv(x);
    return torch::relu(bn(made) + made);
  }
  Conv2d conv{Conv2dOptions(3, 3, 1)};
  BatchNorm2d bn = trained(BatchNorm2d(3));
};
TORCH_MODULE(Branch);

TEST_F(Fold, ALayerThatOthersReadTooStaysAsItIs) {
  const Tensor images = torch::randn({2, 3, 5, 5});
  Branch model;
  Graph graph = trace(model, images);
  EXPECT_EQ(fold(graph).kept, std::vector<std::string>{"bn"});
  model->eval();
  EXPECT_LT((Executor(graph)(images) - model->forward(images)).abs().max().item<double>(), 1e-6);
}

}  // namespace
}  // namespace refnorm::deploy
