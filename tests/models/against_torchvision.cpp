// Names, shapes and outputs of torchvision's own networks, by tests/models/torchvision_models.py.
#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/weights_file.h>
#include <refnorm/models/resnet.h>
#include <refnorm/models/vgg16.h>
#include <refnorm/norms/norm_spec.h>

#include "tests/support/tensors.h"

namespace refnorm::models {
namespace {

using refnorm::testing::distance;
using torch::Tensor;

ModelOptions options(const std::string& norm, std::int64_t classes, std::int64_t side) {
  return {norm_factory(NormSpec::parse(norm)), 3, classes, side};
}

Tensor to_tensor(const RawTensor& raw) {
  const auto type = raw.dtype == "I64" ? torch::kLong : torch::kFloat;
  Tensor tensor = torch::empty(raw.shape, type);
  EXPECT_EQ(tensor.nbytes(), raw.bytes.size());
  std::memcpy(tensor.data_ptr(), raw.bytes.data(), raw.bytes.size());
  return tensor;
}

class AgainstTorchvision : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<refnorm::testing::TemporaryFolder>();
    try {
      available_ = Subprocess({REFNORM_PYTHON, "-c", "import torchvision"}).wait().ok();
    } catch (const Error&) {  // no Python at all
    }
    if (!available_) return;
    Subprocess script({REFNORM_PYTHON, "-W", "ignore", REFNORM_TORCHVISION_MODELS, folder_->path().string()},
                      *folder_ / "log");
    ASSERT_TRUE(script.wait().ok()) << read_file(*folder_ / "log");
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override {
    if (!available_) GTEST_SKIP() << REFNORM_PYTHON << " cannot import torchvision (python3-torchvision)";
  }

  /// What Python left of a network.
  static Safetensors file(const std::string& name) { return read_weights(*folder_ / (name + ".pth")); }
  static Json shapes(const std::string& name) { return read_json(*folder_ / "shapes.json").at(name); }

  static std::unique_ptr<refnorm::testing::TemporaryFolder> folder_;
  static bool available_;
};

std::unique_ptr<refnorm::testing::TemporaryFolder> AgainstTorchvision::folder_;
bool AgainstTorchvision::available_ = false;

/// The state that a file has, under the network's names.
Safetensors state_in(const Safetensors& file, const Classifier& model) {
  Safetensors state;
  for (const auto& [name, raw] : file.tensors) {
    if (name.starts_with("state.")) state.tensors.emplace_back(name.substr(6), raw);
  }
  model.adopt_names(state);
  return state;
}

/// Every tensor of the file finds its place.
void load(Classifier& model, const Safetensors& state) {
  const torch::NoGradGuard no_grad;
  auto parameters = model.named_parameters();
  auto buffers = model.named_buffers();
  for (const auto& [name, raw] : state.tensors) {
    Tensor* place = parameters.find(name);
    if (place == nullptr) place = buffers.find(name);
    ASSERT_NE(place, nullptr) << name;
    place->copy_(to_tensor(raw));
  }
}

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

Shapes shapes_of(const Classifier& model) {
  Shapes shapes;
  for (const auto& item : model.named_parameters()) shapes[item.key()] = item.value().sizes().vec();
  for (const auto& item : model.named_buffers()) shapes[item.key()] = item.value().sizes().vec();
  return shapes;
}

TEST_F(AgainstTorchvision, NamesAndShapesAreItsOwn) {
  for (const std::string name : {"resnet18", "resnet34", "resnet50", "resnet101", "vgg16_bn"}) {
    const std::string kind = name == "vgg16_bn" ? "vgg16" : name;
    Shapes expected;
    for (const Json& entry : shapes(name))
      expected[entry[0].get<std::string>()] = entry[1].get<std::vector<std::int64_t>>();
    EXPECT_EQ(shapes_of(*make_model(kind, options("bn", 1000, 224))), expected) << name;
  }
}

TEST_F(AgainstTorchvision, ItsNormlessVggGetsTheNamesOfTheOneWithNorms) {
  const auto model = make_model("vgg16", options("none", 1000, 224));
  Safetensors named;
  for (const Json& entry : shapes("vgg16"))
    named.tensors.emplace_back(entry[0].get<std::string>(),
                               RawTensor{"F32", entry[1].get<std::vector<std::int64_t>>(), ""});
  model->adopt_names(named);
  Shapes adopted;
  for (const auto& [name, raw] : named.tensors) adopted[name] = raw.shape;
  EXPECT_EQ(shapes_of(*model), adopted);
  // Names of its own stay as they are.
  Safetensors own;
  for (const auto& item : model->named_parameters()) own.tensors.emplace_back(item.key(), RawTensor{});
  const Safetensors before = own;
  model->adopt_names(own);
  for (std::size_t i = 0; i < own.tensors.size(); ++i)
    EXPECT_EQ(own.tensors[i].first, before.tensors[i].first);
}

TEST_F(AgainstTorchvision, ResNetsComputeTheSameInTrainingAndEvaluation) {
  for (const std::string name : {"resnet18", "resnet50"}) {
    const Safetensors content = file(name);
    const auto model = make_model(name, options("bn", 7, 64));
    load(*model, state_in(content, *model));
    const Tensor pictures = to_tensor(*content.find("pictures"));
    const torch::NoGradGuard no_grad;
    model->eval();
    EXPECT_LT(distance(model->forward(pictures), to_tensor(*content.find("evaluated"))), 2e-5) << name;
    model->train();
    EXPECT_LT(distance(model->forward(pictures), to_tensor(*content.find("trained"))), 2e-4)
        << name << ": batch statistics of 16 values amplify rounding";
  }
}

TEST_F(AgainstTorchvision, TheFeaturesOfVggComputeTheSame) {
  for (const std::string name : {"vgg16", "vgg16_bn"}) {
    const Safetensors content = file(name);
    VGG16 model(options(name == "vgg16" ? "none" : "bn", 7, 32));
    load(*model, state_in(content, *model));
    const Tensor pictures = to_tensor(*content.find("pictures"));
    const torch::NoGradGuard no_grad;
    model->eval();
    EXPECT_LT(distance(model->features(pictures), to_tensor(*content.find("evaluated"))), 2e-5) << name;
    model->train();
    EXPECT_LT(distance(model->features(pictures), to_tensor(*content.find("trained"))), 2e-4) << name;
  }
}

}  // namespace
}  // namespace refnorm::models
