#include <cmath>
#include <numeric>

#include <torch/types.h>

#include <refnorm/base/file.h>
#include <refnorm/deploy/onnx_network.h>

#include "tests/deploy/onnx_files.h"
#include "tests/support/tensors.h"

namespace refnorm {
namespace {

using namespace testing;
using deploy::ModelDescription;
using deploy::OnnxNetwork;
using torch::Tensor;

Tensor tensor_of(const std::vector<float>& values, torch::IntArrayRef shape) {
  return torch::tensor(values, torch::kFloat).to(torch::kDouble).view(shape);
}

ModelDescription digits() {
  ModelDescription description;
  description.channels = 1;
  description.height = description.width = 28;
  description.mean = {0.1307};
  description.std = {0.3081};
  for (char c = '0'; c <= '9'; ++c) description.classes.emplace_back(1, c);
  description.model = "lenet5";
  description.norm = "rbn:fixed";
  description.recipe = "lenet5-mnist";
  description.arm = "RBN fixed";
  return description;
}

/// What small_network() computes, by LibTorch in float64.
Tensor small_network_of(const Tensor& images) {
  const auto weight = [](torch::IntArrayRef shape, std::uint32_t seed) {
    return tensor_of(noise(c10::multiply_integers(shape), seed), shape);
  };
  Tensor x = torch::conv2d(images, weight({3, 1, 5, 5}, 1), weight({3}, 2), 1, 2).relu();
  x = torch::conv2d(torch::max_pool2d(x, 2), weight({4, 3, 3, 3}, 3), weight({4}, 4), 2).relu().flatten(1);
  x = torch::linear(x, weight({12, 144}, 5), weight({12}, 6)).relu();
  return torch::linear(x, weight({10, 12}, 7), weight({10}, 8));
}

TEST(OnnxNetwork, ByHand) {
  // scores = 2 · x0 − x1 + 10, x0 + 3 · x1 + 20
  OnnxFile file({-1, 1, 1, 2}, {-1, 2});
  file.weight("w", {2, 2}, {2, -1, 1, 3}).weight("b", {2}, {10, 20});
  file.node("Flatten", {"images"}, "f");
  file.node("Gemm", {"f", "w", "b"}, "scores").with("transB", std::int64_t{1});
  OnnxNetwork network = OnnxNetwork::parse(file.bytes(), "file");
  EXPECT_EQ(network.run({1, 2, -3, 0.5F}, 2), (std::vector<float>{10, 27, 3.5F, 18.5F}));
  EXPECT_EQ(network.scores({1, 2}, 1), (std::vector<float>{10, 27}));
  EXPECT_TRUE(network.run({}, 0).empty());
}

TEST(OnnxNetwork, ConvolutionsAndDenseLayers) {
  OnnxNetwork network = OnnxNetwork::parse(small_network().bytes(), "file");
  const std::vector<float> images = noise(5 * 784, 20);
  const Tensor scores = tensor_of(network.run(images, 5), {5, 10});
  EXPECT_LT(distance(scores, small_network_of(tensor_of(images, {5, 1, 28, 28}))), 1e-5);
}

TEST(OnnxNetwork, AFixedNumberOfSamples) {
  OnnxNetwork any = OnnxNetwork::parse(small_network().bytes(), "file");
  OnnxNetwork three = OnnxNetwork::parse(small_network(3).bytes(), "file");
  for (const std::int64_t count : {1, 3, 4}) {
    const std::vector<float> images = noise(count * 784, 21);
    const Tensor expected = tensor_of(any.run(images, count), {count, 10});
    EXPECT_LT(distance(tensor_of(three.run(images, count), {count, 10}), expected), 1e-6);
  }
}

TEST(OnnxNetwork, SaysWhatTheFileSays) {
  const OnnxNetwork network =
      OnnxNetwork::parse(small_network().metadata(to_metadata(digits())).bytes(), "file");
  EXPECT_EQ(to_metadata(network.description()), to_metadata(digits()));
  EXPECT_TRUE(network.assumptions().empty());
}

TEST(OnnxNetwork, SaysWhatItAssumesOfAnothersFile) {
  const OnnxNetwork network = OnnxNetwork::parse(small_network().bytes(), "file");
  const ModelDescription& description = network.description();
  EXPECT_EQ(description.channels, 1);
  EXPECT_EQ(description.height, 28);
  EXPECT_EQ(description.width, 28);
  EXPECT_EQ(description.mean, std::vector<double>{0});
  EXPECT_EQ(description.std, std::vector<double>{1});
  EXPECT_EQ(description.classes.at(9), "9");
  ASSERT_EQ(network.assumptions().size(), 1U);
  EXPECT_TRUE(contains(network.assumptions()[0], "file: ")) << network.assumptions()[0];
}

TEST(OnnxNetwork, SizesThatOnlyTheMetadataHave) {
  OnnxFile file({-1, -1, -1, -1}, {-1, 10});
  *file.graph().mutable_node() = small_network().graph().node();
  *file.graph().mutable_initializer() = small_network().graph().initializer();
  EXPECT_TRUE(contains(user_error_of([&] { OnnxNetwork::parse(file.bytes(), "file"); }), "channels open"));
  file.metadata(to_metadata(digits()));
  OnnxNetwork network = OnnxNetwork::parse(file.bytes(), "file");
  EXPECT_EQ(network.description().width, 28);
  EXPECT_EQ(network.run(noise(784, 22), 1),
            OnnxNetwork::parse(small_network().bytes(), "file").run(noise(784, 22), 1));
}

TEST(OnnxNetwork, MetadataThatDoNotFitTheGraph) {
  ModelDescription wider = digits();
  wider.width = 29;
  EXPECT_TRUE(contains(user_error_of([&] {
                         OnnxNetwork::parse(small_network().metadata(to_metadata(wider)).bytes(), "file");
                       }),
                       "28 width"));
  ModelDescription fewer = digits();
  fewer.classes.pop_back();
  EXPECT_TRUE(contains(user_error_of([&] {
                         OnnxNetwork::parse(small_network().metadata(to_metadata(fewer)).bytes(), "file");
                       }),
                       "10 classes, and refnorm.classes names 9"));
}

TEST(OnnxNetwork, ASoftmaxAtTheEndGivesLogarithmsAsScores) {
  OnnxFile file({-1, 1, 1, 3}, {-1, 3});
  file.node("Flatten", {"images"}, "f").node("Softmax", {"f"}, "scores");
  OnnxNetwork network = OnnxNetwork::parse(file.bytes(), "file");
  const std::vector<float> images{0, std::log(2.0F), std::log(5.0F)};
  const std::vector<float> probabilities = network.run(images, 1);
  const std::vector<float> scores = network.scores(images, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(probabilities[i], (std::vector<float>{0.125F, 0.25F, 0.625F})[i], 1e-6);
    EXPECT_NEAR(scores[i], std::log(probabilities[i]), 1e-6);
  }
}

TEST(OnnxNetwork, OfSeveralOutputsTheNamedOne) {
  OnnxFile file = small_network();
  OnnxFile::declare(*file.graph().add_output(), "fc1", {-1, 12});
  EXPECT_TRUE(
      contains(user_error_of([&] { OnnxNetwork::parse(file.bytes(), "file"); }), "2 outputs (scores, fc1)"));
  file.metadata(to_metadata(digits()));
  EXPECT_EQ(OnnxNetwork::parse(file.bytes(), "file").run(noise(784, 1), 1).size(), 10U);
}

TEST(OnnxNetwork, NodesOfOneNameOrNone) {
  const std::vector<float> images = noise(784, 3);
  for (const char* name : {"", "same"}) {
    OnnxFile file = small_network();
    for (onnx::NodeProto& node : *file.graph().mutable_node()) node.set_name(name);
    EXPECT_EQ(OnnxNetwork::parse(file.bytes(), "file").run(images, 1),
              OnnxNetwork::parse(small_network().bytes(), "file").run(images, 1));
  }
}

TEST(OnnxNetwork, AnOperatorThatDnnLacks) {
  OnnxFile file({-1, 2, 4, 4}, {-1, 32});
  file.model.mutable_opset_import(0)->set_version(17);
  file.weight("w", {2, 4, 4}, noise(32, 1));
  file.node("LayerNormalization", {"images", "w"}, "y").with("axis", std::int64_t{1});
  file.node("Flatten", {"y"}, "scores");
  const std::string said = user_error_of([&] { OnnxNetwork::parse(file.bytes(), "m.onnx"); });
  EXPECT_TRUE(contains(said, "m.onnx: the node 'n_y' (LayerNormalization) ")) << said;
  EXPECT_TRUE(contains(said, "onnxruntime runs it")) << said;
}

TEST(OnnxNetwork, AGroupNormWrittenAsAnInstanceNorm) {
  OnnxFile file({-1, 4, 2, 2}, {-1, 16});
  file.numbers("apart", {0, 2, -1}).numbers("together", {0, 4, 2, 2});
  file.weight("one", {2}, {1, 1}).weight("zero", {2}, {0, 0});
  file.node("Reshape", {"images", "apart"}, "r").node("InstanceNormalization", {"r", "one", "zero"}, "n");
  file.node("Reshape", {"n", "together"}, "y").node("Flatten", {"y"}, "scores");
  const std::string said = user_error_of([&] { OnnxNetwork::parse(file.bytes(), "m.onnx"); });
  EXPECT_TRUE(contains(said, "the node 'n_n' (InstanceNormalization)")) << said;
  EXPECT_TRUE(contains(said, "onnxruntime")) << said;
}

TEST(OnnxNetwork, AnAverageThatDnnWouldGetWrong) {
  OnnxFile file({-1, 1, 4, 4}, {-1, 9});
  file.node("AveragePool", {"images"}, "y").with("kernel_shape", {2, 2}).with("strides", {2, 2});
  file.with("pads", {1, 1, 1, 1}).with("count_include_pad", std::int64_t{1}).node("Flatten", {"y"}, "scores");
  EXPECT_TRUE(
      contains(user_error_of([&] { OnnxNetwork::parse(file.bytes(), "m.onnx"); }), "counts its padding"));
}

TEST(OnnxNetwork, SumsThatDnnWouldGetWrong) {
  for (const OnnxFile::Shape& shape : {OnnxFile::Shape{1, 3, 1, 1, 1}, {4, 1}, {4}, {3, 4, 4}}) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    OnnxFile file({-1, 3, 4, 4}, {-1, -1});
    file.weight("c", shape, noise(count, 1))
        .node("Add", {"images", "c"}, "y")
        .node("Flatten", {"y"}, "scores");
    EXPECT_TRUE(contains(user_error_of([&] { OnnxNetwork::parse(file.bytes(), "m.onnx"); }), "onnxruntime"));
  }
}

TEST(OnnxNetwork, ReadsAFile) {
  const TemporaryFolder folder;
  write_file(folder / "m.onnx", small_network().bytes());
  EXPECT_EQ(OnnxNetwork::read(folder / "m.onnx").description().classes.size(), 10U);
  const std::string none = (folder / "none.onnx").string();
  EXPECT_TRUE(contains(user_error_of([&] { OnnxNetwork::read(none); }), none + ": "));
  user_error_of([&] { OnnxNetwork::read(folder.path()); });
  write_file(folder / "empty.onnx", "");
  user_error_of([&] { OnnxNetwork::read(folder / "empty.onnx"); });
}

TEST(OnnxNetwork, ImagesOfAnotherSize) {
  OnnxNetwork network = OnnxNetwork::parse(small_network().bytes(), "file");
  message_of<Error>([&] { network.run(noise(783, 1), 1); });
  message_of<Error>([&] { network.run(noise(784, 1), 2); });
  message_of<Error>([&] { network.run({}, -1); });
}

TEST(OnnxNetwork, BestGuesses) {
  const float never = -std::numeric_limits<float>::infinity();
  const auto best = deploy::best_guesses({1, std::log(2.0F) + 1, never, 1}, 3, "m");
  ASSERT_EQ(best.size(), 3U);
  EXPECT_EQ(best[0].index, 1);
  EXPECT_NEAR(best[0].probability, 0.5, 1e-6);
  EXPECT_EQ(best[1].index, 0);
  EXPECT_EQ(best[2].index, 3);
  EXPECT_NEAR(best[2].probability, 0.25, 1e-6);
  EXPECT_EQ(deploy::best_guesses({1000, -1000}, 9, "m").at(1).probability, 0);
  for (const float wrong : {std::nanf(""), std::numeric_limits<float>::infinity()})
    EXPECT_TRUE(contains(message_of<Error>([&] { deploy::best_guesses({0, wrong}, 1, "m"); }), "m: "));
}

}  // namespace
}  // namespace refnorm
