#include <random>
#include <set>

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/fold.h>
#include <refnorm/deploy/onnx_evaluator.h>
#include <refnorm/deploy/onnx_network.h>
#include <refnorm/deploy/onnx_writer.h>

#include "tests/base/helpers.h"
#include "tests/deploy/networks.h"

namespace refnorm::deploy {
namespace {

using refnorm::testing::user_error_of;
using testing::description;
using testing::graph_of;
using testing::network;
using torch::Tensor;

std::vector<std::string> operators_of(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  std::vector<std::string> found;
  for (const auto& node : model.graph().node()) found.push_back(node.op_type());
  return found;
}

class EveryNorm : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryNorm, ComputesInOnnxWhatTheNetworkDoes) {
  const auto model = network(GetParam());
  const Tensor images = torch::randn({5, 1, 28, 28}) * 1.5;
  const Tensor expected = model->forward(images);
  Graph graph = graph_of(model);
  const std::string plain = to_onnx(graph, description());
  fold(graph);
  const std::string folded = to_onnx(graph, description());
  for (const std::string& bytes : {plain, folded}) {
    const Tensor found = OnnxEvaluator(bytes, "test.onnx")(images);
    EXPECT_LT((found - expected).abs().max().item<double>(), 1e-5);
  }
}

std::vector<float> values_of(const Tensor& tensor) {
  const Tensor dense = tensor.contiguous();
  return {dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel()};
}

TEST_P(EveryNorm, RunsInOpenCvUnlessThatLacksTheOperators) {
  const auto model = network(GetParam());
  const Tensor images = torch::randn({3, 1, 28, 28});
  Graph graph = graph_of(model);
  fold(graph);
  const std::string bytes = to_onnx(graph, description());
  const std::set<std::string> without{"ln", "gn:2", "sn", "vbn"};
  if (without.count(GetParam()) > 0) {
    const std::string message = user_error_of([&] { OnnxNetwork::parse(bytes, "a.onnx"); });
    EXPECT_TRUE(message.starts_with("a.onnx: the node 'norm")) << message;
    EXPECT_NE(message.find("onnxruntime"), std::string::npos) << message;
    return;
  }
  OnnxNetwork in_opencv = OnnxNetwork::parse(bytes, "a.onnx");
  const std::vector<float> found = in_opencv.run(values_of(images), 3);
  const std::vector<float> expected = values_of(model->forward(images).detach());
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 2e-5);
}

INSTANTIATE_TEST_SUITE_P(Onnx, EveryNorm, ::testing::ValuesIn(testing::kNorms), [](const auto& one) {
  std::string name = one.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

/// Of the larger of a's and 1.
double largest_gap(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>() / std::max(1.0, a.abs().max().item<double>());
}

TEST(Onnx, LargerNetworksComputeInItWhatTheyDo) {
  for (const testing::Subject& of : testing::kLarger) {
    for (const std::string norm : {"rbn", "gn:32"}) {
      SCOPED_TRACE(of.kind + " " + norm);
      const auto model = network(norm, of);
      const Tensor images = of.images(2);
      const Tensor expected = model->forward(images).detach();
      Graph graph = graph_of(model, of);
      fold(graph);
      const std::string bytes = to_onnx(graph, description(of));
      EXPECT_LT(largest_gap(expected, OnnxEvaluator(bytes, "a.onnx")(images)), 2e-5);
      if (norm != "rbn") continue;
      for (const std::string& op : operators_of(bytes))
        EXPECT_EQ(op.find("Normalization"), std::string::npos);
      const std::vector<float> in_dnn = OnnxNetwork::parse(bytes, "a.onnx").run(values_of(images), 2);
      EXPECT_LT(largest_gap(expected, torch::tensor(in_dnn).view_as(expected)), 2e-5);
    }
  }
}

TEST(Onnx, NothingIsLeftOfAffineNorms) {
  const std::vector<std::string> without = operators_of(to_onnx(graph_of(network("none")), description()));
  for (const char* norm : {"bn", "rbn", "brn", "frozen_bn", "ghost:4"}) {
    Graph graph = graph_of(network(norm));
    fold(graph);
    EXPECT_EQ(operators_of(to_onnx(graph, description())), without) << norm;
  }
  EXPECT_EQ(without, (std::vector<std::string>{"Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool",
                                               "Flatten", "Gemm", "Relu", "Gemm", "Relu", "Gemm"}));
}

TEST(Onnx, SaysWhatItTakesAndGives) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(to_onnx(graph_of(network("bn")), description())));
  EXPECT_EQ(model.opset_import(0).version(), 17);
  const auto& input = model.graph().input(0);
  EXPECT_EQ(input.name(), "images");
  EXPECT_EQ(input.type().tensor_type().shape().dim(0).dim_param(), "batch");
  EXPECT_EQ(input.type().tensor_type().shape().dim(3).dim_value(), 28);
  EXPECT_EQ(model.graph().output(0).name(), "scores");
  EXPECT_EQ(model.graph().output(0).type().tensor_type().shape().dim(1).dim_value(), 10);
  std::map<std::string, std::string> metadata;
  for (const auto& entry : model.metadata_props()) metadata[entry.key()] = entry.value();
  const ModelDescription found = description_from(metadata, "test.onnx");
  EXPECT_EQ(found.classes.size(), 10U);
  EXPECT_DOUBLE_EQ(found.mean.at(0), 0.13);
}

TEST(OnnxEvaluator, NamesWhatItCannotRead) {
  EXPECT_EQ(user_error_of([] { OnnxEvaluator("no protobuf", "a.onnx"); }), "a.onnx: is not an ONNX file");
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(to_onnx(graph_of(network("none")), description())));
  const auto changed = [&](const std::function<void(onnx::GraphProto&)>& change) {
    onnx::ModelProto copy = model;
    change(*copy.mutable_graph());
    return user_error_of([&] {
      OnnxEvaluator(copy.SerializeAsString(), "a.onnx")(torch::zeros({1, 1, 28, 28}));
    });
  };
  EXPECT_NE(changed([](auto& graph) {
              graph.mutable_node(1)->set_op_type("Celu");
            }).find("is a Celu, which is not known"),
            std::string::npos);
  EXPECT_NE(changed([](auto& graph) {
              graph.mutable_initializer(0)->mutable_raw_data()->pop_back();
            }).find("initializer 'conv1.weight' has 599 bytes, expected 600"),
            std::string::npos)
      << "6 x 1 x 5 x 5 values of 4 bytes";
  EXPECT_NE(changed([](auto& graph) {
              graph.mutable_node(1)->set_input(0, "nobody");
            }).find("which no node before gives"),
            std::string::npos);
  EXPECT_NE(
      changed([](auto& graph) { graph.mutable_initializer(0)->set_dims(0, -1); }).find("impossible shape"),
      std::string::npos);
  EXPECT_NE(changed([](auto& graph) {
              std::swap(*graph.mutable_initializer(0)->mutable_raw_data(),
                        *graph.mutable_initializer(2)->mutable_raw_data());
            }).find("expected 600"),
            std::string::npos);
}

/// Bytes of a valid file are changed, cut out and doubled at random.
TEST(OnnxEvaluator, DamagedFilesAreComputedOrRefusedInOneLine) {
  Graph graph = graph_of(network("gn:2"));
  const std::string good = to_onnx(graph, description());
  std::mt19937 random(1);
  const auto any = [&](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
  };
  int refused = 0;
  for (int turn = 0; turn < 400; ++turn) {
    std::string bytes = good;
    // Most of the file is weights: aim at what describes them too.
    const std::size_t at = turn % 2 == 0 ? any(bytes.size()) : any(2000);
    for (std::size_t i = 0; i <= any(3); ++i)
      bytes[(at + i * any(16)) % bytes.size()] = static_cast<char>(any(256));
    if (turn % 5 == 0) bytes.erase(at, any(64));
    if (turn % 7 == 0) bytes.insert(at, bytes.substr(any(bytes.size()), any(64)));
    try {
      OnnxEvaluator(bytes, "a.onnx")(torch::zeros({1, 1, 28, 28}));
    } catch (const UserError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace refnorm::deploy
