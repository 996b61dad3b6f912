// The operators of detection beside torchvision's own, by tests/ops/torchvision_ops.py.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/ops/boxes.h>
#include <refnorm/ops/roi_align.h>

#include "tests/support/tensors.h"
#include "tests/support/torchvision_script.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::distance;
using torch::Tensor;

class AgainstTorchvision : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto file = refnorm::testing::from_torchvision(REFNORM_PYTHON, REFNORM_TORCHVISION_OPS, "ops.pth");
    available_ = file.has_value();
    if (file) file_ = *file;
  }

  void SetUp() override {
    if (!available_) GTEST_SKIP() << REFNORM_PYTHON << " cannot import torchvision (python3-torchvision)";
  }

  static Tensor given(const std::string& name) {
    const RawTensor* raw = file_.find(name);
    if (raw == nullptr) throw Error("the script left no " + name);
    return refnorm::testing::tensor_of(*raw);
  }

  static Safetensors file_;
  static bool available_;
};

Safetensors AgainstTorchvision::file_;
bool AgainstTorchvision::available_ = false;

// Both in float32; coordinates are computed alike, to the rounding of samples' numbers.
TEST_F(AgainstTorchvision, RoiAlignComputesTheSame) {
  for (const bool aligned : {false, true}) {
    for (const std::int64_t ratio : {0, 2}) {
      const std::string which = fmt::format("{}.{}", aligned ? 1 : 0, ratio);
      for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
        const Tensor x = given("roi.x").contiguous(format).requires_grad_(true);
        const Tensor y = roi_align(x, given("roi.rois"), {7, 6, 1.0 / 16, ratio, aligned});
        EXPECT_LT(distance(y, given("roi.y." + which)), 1e-5) << which;
        y.backward(given("roi.dy"));
        EXPECT_LT(distance(x.grad(), given("roi.dx." + which)), 1e-5) << which;
      }
    }
  }
}

TEST_F(AgainstTorchvision, SuppressionKeepsTheSame) {
  for (const int tenths : {3, 5, 7}) {
    const auto name = [&](const char* kind) { return fmt::format("{}.{}", kind, tenths); };
    EXPECT_TRUE(
        torch::equal(suppress(given("boxes"), given("scores"), {}, tenths / 10.0), given(name("nms"))));
    EXPECT_TRUE(torch::equal(suppress(given("boxes"), given("scores"), given("groups"), tenths / 10.0),
                             given(name("batched_nms"))));
  }
}

TEST_F(AgainstTorchvision, BoxesAreCodedClippedAndMatchedAlike) {
  EXPECT_LT(distance(box_iou(given("boxes"), given("truths")), given("iou")), 1e-6);
  const BoxCoder coder{{10, 10, 5, 5}};
  EXPECT_LT(distance(encode_boxes(given("boxes"), given("other"), coder), given("encoded")), 1e-6);
  EXPECT_LT(distance(decode_boxes(given("deltas"), given("other"), coder), given("decoded")), 1e-6);
  const Tensor clipped = clip_boxes(given("boxes") * 2 - 90, {100, 120});
  EXPECT_EQ(distance(clipped, given("clipped")), 0);
  EXPECT_TRUE(torch::equal(boxes_of_size(clipped, 1.0), given("kept")));
  for (const bool low : {false, true}) {
    EXPECT_TRUE(torch::equal(match_boxes(given("boxes"), given("truths"), {0.7, 0.3, low}),
                             given(low ? "matched.1" : "matched.0")));
  }
}

TEST_F(AgainstTorchvision, AnchorsLieAtTheSamePlaces) {
  EXPECT_EQ(distance(make_anchors({}, 7, 10), given("anchors")), 0);
}

// It rounds boxes to whole pixels first, which moves a corner by less than a pixel, and makes them a pixel
// larger: edges lie at most two pixels elsewhere.
TEST_F(AgainstTorchvision, MasksAreTheSameButForTheirEdges) {
  const Tensor ours = paste_masks(given("masks"), given("mask.boxes"), {60, 80}).to(torch::kFloat);
  const Tensor theirs = given("pasted").to(torch::kFloat);
  const auto grown = [](const Tensor& masks) { return torch::max_pool2d(masks, 5, 1, 2); };
  EXPECT_TRUE((theirs <= grown(ours)).all().item<bool>());
  EXPECT_TRUE((theirs >= 1 - grown(1 - ours)).all().item<bool>());
  EXPECT_GT(theirs.sum().item<float>(), 2000);
}

}  // namespace
}  // namespace refnorm::ops
