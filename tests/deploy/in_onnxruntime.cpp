#include <filesystem>

#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/utils.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/deploy/fold.h>
#include <refnorm/deploy/onnx_writer.h>

#include "tests/base/helpers.h"
#include "tests/deploy/networks.h"

// Exported files in onnxruntime, by the script beside this file. ./dev check installs onnxruntime-node into
// the build folder; without it these tests are skipped.

namespace refnorm::deploy {
namespace {

using torch::Tensor;
using namespace torch::nn;  // NOLINT: layers of the test's networks

std::string bytes_of(const Tensor& tensor) {
  const Tensor dense = tensor.to(torch::kFloat).contiguous();
  return {static_cast<const char*>(dense.data_ptr()), dense.nbytes()};
}

class InOnnxruntime : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!on_path("node") ||
        !std::filesystem::exists(std::string(REFNORM_ONNXRUNTIME) + "/node_modules/onnxruntime-node"))
      GTEST_SKIP() << "no onnxruntime-node in " << REFNORM_ONNXRUNTIME << "; ./dev check installs it";
    torch::manual_seed(11);
  }

  void write(const std::string& name, const Graph& graph, const ModelDescription& description,
             const Tensor& images, const Tensor& scores) {
    write_file(folder_ / (name + ".onnx"), to_onnx(graph, description));
    write_file(folder_ / (name + ".images"), bytes_of(images));
    write_file(folder_ / (name + ".scores"), bytes_of(scores));
    write_file(folder_ / (name + ".json"),
               Json{{"images", images.sizes().vec()}, {"scores", scores.sizes().vec()}}.dump());
  }

  /// A network of LibTorch's layers, folded or not; the expected scores are its own, in double.
  void write_sequential(const std::string& name, Sequential model, const Tensor& images) {
    model->eval();
    Graph graph = trace(model, images);
    ModelDescription description;
    description.channels = images.size(1);
    description.height = images.size(2);
    description.width = images.size(3);
    description.mean.assign(static_cast<std::size_t>(images.size(1)), 0);
    description.std.assign(static_cast<std::size_t>(images.size(1)), 1);
    description.classes = {"a", "b", "c"};
    model->to(torch::kDouble);
    const Tensor scores = model->forward(images.to(torch::kDouble));
    write(name + "_unfolded", graph, description, images, scores);
    fold(graph);
    write(name + "_folded", graph, description, images, scores);
  }

  void run(int cases) {
    const auto log = folder_ / "log";
    Subprocess node({"node", REFNORM_ONNXRUNTIME_SCRIPT, REFNORM_ONNXRUNTIME, folder_.path().string()}, log);
    const ExitStatus ended = node.wait();
    const std::string said = read_file(log);
    EXPECT_TRUE(ended.ok()) << said;
    EXPECT_NE(said.find(fmt::format("{} cases, 0 wrong", cases)), std::string::npos) << said;
  }

  refnorm::testing::TemporaryFolder folder_;
};

TEST_F(InOnnxruntime, EveryNormComputesWhatItDidInTheNetwork) {
  int cases = 0;
  for (const std::string& norm : testing::kNorms) {
    const auto model = testing::network(norm);
    const Tensor images = torch::randn({3, 1, 28, 28});
    Graph graph = testing::graph_of(model);
    std::string name = norm;
    std::replace(name.begin(), name.end(), ':', '_');
    write(name + "_unfolded", graph, testing::description(), images, model->forward(images).detach());
    fold(graph);
    write(name + "_folded", graph, testing::description(), images, model->forward(images).detach());
    cases += 2;
  }
  run(cases);
}

TEST_F(InOnnxruntime, LargerNetworksDoToo) {
  int cases = 0;
  for (const testing::Subject& of : testing::kLarger) {
    for (const std::string norm : {"none", "bn", "rbn", "gn:32", "in", "ln", "sn"}) {
      // A ResNet-18 under every one, the others under one of each kind.
      if (of.kind != "resnet18" && norm != "rbn" && norm != "gn:32") continue;
      const auto model = testing::network(norm, of);
      const Tensor images = of.images(2);
      Graph graph = testing::graph_of(model, of);
      fold(graph);
      write(of.kind + "_" + norm.substr(0, 2), graph, testing::description(of), images,
            model->forward(images).detach());
      ++cases;
    }
  }
  run(cases);
}

TEST_F(InOnnxruntime, LayersOfAllKinds) {
  const auto norm = [](std::int64_t channels) {
    const torch::NoGradGuard no_grad;
    BatchNorm2d layer(channels);
    layer->running_mean.uniform_(-1, 1);
    layer->running_var.uniform_(0.5, 2);
    layer->bias.uniform_(-1, 1);
    return layer;
  };
  const auto head = [](std::int64_t channels) {
    return Sequential(AdaptiveAvgPool2d(AdaptiveAvgPool2dOptions({1, 1})), Flatten(), Linear(channels, 3));
  };
  const Tensor images = torch::randn({4, 4, 12, 10});
  const auto with_head = [&](const std::string& name, const Sequential& body, std::int64_t channels) {
    Sequential all;
    for (const Sequential& part : {body, head(channels)}) {
      for (auto& layer : *part) all->push_back(layer);
    }
    write_sequential(name, all, images);
  };
  with_head("grouped", Sequential(Conv2d(Conv2dOptions(4, 6, 3).groups(2).stride({2, 1})), norm(6), ReLU()),
            6);
  with_head("dilated",
            Sequential(Conv2d(Conv2dOptions(4, 6, 3).dilation(2).padding({1, 2})), norm(6), ReLU()), 6);
  with_head("transposed",
            Sequential(ConvTranspose2d(
                           ConvTranspose2dOptions(4, 6, 3).groups(2).stride(2).padding(1).output_padding(1)),
                       norm(6), ReLU()),
            6);
  with_head("norm_first", Sequential(ReLU(), norm(4), Conv2d(Conv2dOptions(4, 6, 3))), 6);
  with_head("norm_first_padded", Sequential(ReLU(), norm(4), Conv2d(Conv2dOptions(4, 6, 3).padding(1))), 6);
  with_head("pools",
            Sequential(MaxPool2d(MaxPool2dOptions(3).stride(2).padding(1).ceil_mode(true)), norm(4),
                       AvgPool2d(AvgPool2dOptions(2).stride(1).padding(1))),
            4);
  with_head("theirs", Sequential(GroupNorm(GroupNormOptions(2, 4)), InstanceNorm2d(4)), 4);
  run(14);
}

}  // namespace
}  // namespace refnorm::deploy
