// The whole Mask R-CNN beside one made of torchvision's parts, by tests/models/torchvision_mask_rcnn.py:
// losses, gradients, proposals and detections with equal weights.
#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/models/mask_rcnn/mask_rcnn.h>
#include <refnorm/norms/norm_spec.h>

#include "tests/support/tensors.h"
#include "tests/support/torchvision_script.h"

namespace refnorm::models {
namespace {

using refnorm::testing::distance;
using refnorm::testing::tensor_of;
using torch::Tensor;

/// What the script sets.
MaskRcnnOptions options() {
  MaskRcnnOptions options;
  options.norm = norm_factory(NormSpec::parse("frozen_bn"));
  options.depth = 18;
  options.classes = 3;
  options.frozen_stages = 0;
  options.proposals.anchors.sizes = {16, 32, 64};
  options.proposals.anchors_per_picture = options.regions.per_picture = 100000;
  options.proposals.border.reset();
  options.proposals.training = {100, 20};
  options.proposals.detecting = {200, 40};
  options.proposals.smallest = 1e-3;
  options.regions.grid.aligned = false;
  options.regions.beta = 1.0 / 9;
  options.regions.mask_channels = 32;
  options.detections.most = 25;
  return options;
}

class MaskRcnnAgainstTorchvision : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto file =
        refnorm::testing::from_torchvision(REFNORM_PYTHON, REFNORM_TORCHVISION_MASK_RCNN, "mask_rcnn.pth");
    available_ = file.has_value();
    if (file) file_ = *file;
  }

  void SetUp() override {
    if (!available_) GTEST_SKIP() << REFNORM_PYTHON << " cannot import torchvision (python3-torchvision)";
    const torch::NoGradGuard no_grad;
    auto parameters = model_->named_parameters();
    auto buffers = model_->named_buffers();
    std::size_t loaded = 0;
    for (const auto& [name, raw] : file_.tensors) {
      if (!name.starts_with("state.")) continue;
      Tensor* place = parameters.find(name.substr(6));
      if (place == nullptr) place = buffers.find(name.substr(6));
      ASSERT_NE(place, nullptr) << name;
      ASSERT_EQ(place->sizes().vec(), raw.shape) << name;
      place->copy_(tensor_of(raw));
      ++loaded;
    }
    EXPECT_EQ(loaded, parameters.size() + buffers.size()) << "everything has a counterpart";
  }

  static Tensor given(const std::string& name) {
    const RawTensor* raw = file_.find(name);
    if (raw == nullptr) throw Error("the script left no " + name);
    return tensor_of(*raw);
  }
  static Target target(int picture) {
    const auto part = [&](const char* name) { return given(fmt::format("target.{}.{}", picture, name)); };
    Target target{part("boxes"), part("labels"), {}, {}};
    // As torchvision does: RoIAlign over the mask.
    target.rasterize = [masks = part("masks")](std::int64_t instance, const std::array<double, 4>& box,
                                               std::int64_t side, std::span<float> out) {
      const Tensor region = torch::tensor({{0.0, box[0], box[1], box[2], box[3]}}, torch::kFloat);
      const Tensor mask = ops::roi_align(masks[instance].view({1, 1, 96, 128}), region,
                                         {side, side, 1, 0, /*aligned=*/false});
      std::memcpy(out.data(), mask.data_ptr<float>(), out.size_bytes());
    };
    return target;
  }

  MaskRcnn model_{options()};
  const std::vector<ops::PictureSize> sizes_{{96, 128}, {80, 100}};

  static Safetensors file_;
  static bool available_;
};

Safetensors MaskRcnnAgainstTorchvision::file_;
bool MaskRcnnAgainstTorchvision::available_ = false;

TEST_F(MaskRcnnAgainstTorchvision, LossesAndTheirGradientsAreTheSame) {
  for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
    RandomStream stream(1, "sample");
    model_->zero_grad();
    const DetectionLosses losses =
        model_->losses(given("pictures").contiguous(format), sizes_, {target(0), target(1)}, stream);
    EXPECT_LT(distance(losses.objectness, given("loss_objectness")), 1e-5);
    EXPECT_LT(distance(losses.proposal_boxes, given("loss_rpn_box_reg")), 1e-5);
    EXPECT_LT(distance(losses.classes, given("loss_classifier")), 1e-5);
    EXPECT_LT(distance(losses.boxes, given("loss_box_reg")), 1e-5);
    EXPECT_LT(distance(losses.masks, given("loss_mask")), 1e-5);
    losses.total().backward();
    for (const char* name : {"backbone.conv1.weight", "rpn.conv.weight", "head.layer4.0.conv1.weight",
                             "head.mask_deconv.weight"}) {
      const Tensor expected = given(std::string("grad.") + name);
      const Tensor gap = (model_->named_parameters()[name].grad() - expected).abs().max();
      EXPECT_LT(gap.item<double>(), 1e-3 * expected.abs().max().item<double>()) << name;
    }
  }
}

TEST_F(MaskRcnnAgainstTorchvision, ProposalsAndDetectionsAreTheSame) {
  model_->eval();
  const torch::NoGradGuard no_grad;
  const Tensor features = model_->backbone(given("pictures"));
  EXPECT_LT(distance(features, given("features")), 1e-5);
  const auto& by = model_->options.proposals;
  const auto proposals = propose(model_->rpn(features), sizes_, by, by.detecting);
  const auto found = model_->detect(given("pictures"), sizes_);
  for (int i = 0; i < 2; ++i) {
    EXPECT_LT(distance(proposals[i], given(fmt::format("proposals.{}", i))), 1e-5);
    const auto part = [&](const char* name) { return given(fmt::format("found.{}.{}", i, name)); };
    EXPECT_GT(found[i].scores.numel(), 5);
    EXPECT_LT(distance(found[i].boxes, part("boxes")), 1e-5);
    EXPECT_LT(distance(found[i].scores, part("scores")), 1e-5);
    EXPECT_TRUE(torch::equal(found[i].labels, part("labels")));
    EXPECT_LT(distance(found[i].masks, part("masks").squeeze(1)), 1e-5);
  }
}

TEST_F(MaskRcnnAgainstTorchvision, APartAtATimeFindsTheSame) {
  MaskRcnnOptions few = options();
  few.detections.regions_at_once = 7;
  model_->options = few;
  model_->head->options.detections = few.detections;
  model_->eval();
  const auto found = model_->detect(given("pictures"), sizes_);
  EXPECT_LT(distance(found[0].scores, given("found.0.scores")), 1e-5);
  EXPECT_LT(distance(found[0].masks, given("found.0.masks").squeeze(1)), 1e-5);
}

}  // namespace
}  // namespace refnorm::models
