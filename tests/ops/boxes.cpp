#include <cmath>
#include <set>

#include <gtest/gtest.h>
#include <torch/nn/functional/vision.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/boxes.h>

#include "tests/support/tensors.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::distance;
using refnorm::testing::gradient_gap;
using refnorm::testing::random_double;
using torch::Tensor;

std::vector<std::int64_t> list(const Tensor& indices) {
  const Tensor flat = indices.contiguous();
  return {flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel()};
}

/// Boxes of at least one pixel within 100 x 80.
Tensor random_boxes(std::int64_t count, std::uint64_t seed) {
  torch::manual_seed(seed);
  const Tensor corner = torch::rand({count, 2}, torch::kDouble) * torch::tensor({70.0, 50.0}, torch::kDouble);
  return torch::cat({corner, corner + 1 + 28 * torch::rand({count, 2}, torch::kDouble)}, 1);
}

/// Of all pairs, by broadcasting.
Tensor composed_iou(const Tensor& a, const Tensor& b) {
  const auto area = [](const Tensor& x) {
    return (x.select(1, 2) - x.select(1, 0)) * (x.select(1, 3) - x.select(1, 1));
  };
  const Tensor low = torch::maximum(a.unsqueeze(1).narrow(2, 0, 2), b.narrow(1, 0, 2));
  const Tensor high = torch::minimum(a.unsqueeze(1).narrow(2, 2, 2), b.narrow(1, 2, 2));
  const Tensor both = (high - low).clamp_min(0).prod(2);
  return both / (area(a).unsqueeze(1) + area(b) - both);
}

TEST(Boxes, IousEqualTheirComposition) {
  const Tensor a = random_boxes(300, 1);
  const Tensor b = random_boxes(70, 2);
  EXPECT_LT(distance(box_iou(a, b), composed_iou(a, b)), 1e-15);
  EXPECT_LT(distance(box_iou(a.to(torch::kFloat), b.to(torch::kFloat)), composed_iou(a, b)), 1e-6);
  const Tensor inside = torch::tensor({{0.0, 0.0, 2.0, 2.0}});
  EXPECT_EQ(box_overlap(inside, torch::tensor({{1.0, 0.0, 50.0, 50.0}})).item<float>(), 0.5);
  EXPECT_EQ(box_iou(torch::empty({0, 4}), inside).sizes().vec(), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(box_iou(inside, torch::empty({0, 4})).sizes().vec(), (std::vector<std::int64_t>{1, 0}));
}

// By hand: from 10 wide at 5 to 20 wide at 11: (11 − 5)/10 and log 2.
TEST(Boxes, CodeIsRelativeToTheAnchor) {
  const Tensor anchor = torch::tensor({{0.0, 0.0, 10.0, 20.0}}, torch::kDouble);
  const Tensor box = torch::tensor({{1.0, 0.0, 21.0, 20.0}}, torch::kDouble);
  const Tensor code = encode_boxes(box, anchor, {{10, 10, 5, 5}});
  EXPECT_LT(distance(code, torch::tensor({{6.0, 0.0, 5 * std::log(2.0), 0.0}}, torch::kDouble)), 1e-15);
}

TEST(Boxes, DecodeUndoesEncode) {
  const Tensor anchors = random_boxes(40, 3);
  const Tensor boxes = random_boxes(40, 4);
  const BoxCoder coder{{10, 10, 5, 5}};
  const Tensor deltas = encode_boxes(boxes, anchors, coder);
  EXPECT_LT(distance(decode_boxes(deltas, anchors, coder), boxes), 1e-14);
  // One box for each of three classes.
  const Tensor three = decode_boxes(torch::cat({deltas, deltas * 0, deltas}, 1), anchors, coder);
  EXPECT_LT(distance(three, torch::cat({boxes, anchors, boxes}, 1)), 1e-14);
  const auto f = [&](const std::vector<Tensor>& in) { return decode_boxes(in[0], anchors, coder); };
  EXPECT_LT(gradient_gap(f, {deltas}), 1e-7);
}

// exp(log(1000/16)) = 62.5 times the anchor's size at most.
TEST(Boxes, DecodeClampsSizes) {
  const Tensor anchors = torch::tensor({{0.0, 0.0, 16.0, 16.0}}, torch::kDouble);
  const Tensor boxes = decode_boxes(torch::tensor({{0.0, 0.0, 50.0, 9.0}}, torch::kDouble), anchors);
  EXPECT_LT(distance(boxes, torch::tensor({{-492.0, -492.0, 508.0, 508.0}}, torch::kDouble)), 1e-12);
}

TEST(Boxes, AreClippedAndSmallOnesLeftOut) {
  const Tensor boxes = torch::tensor(
      {{-5.0, -5.0, 3.0, 200.0}, {90.0, 90.0, 190.0, 95.0}, {150.0, 0.0, 160.0, 5.0}, {2.0, 2.0, 2.5, 9.0}});
  const Tensor clipped = clip_boxes(boxes, {80, 100});
  EXPECT_EQ(distance(clipped, torch::tensor({{0.0, 0.0, 3.0, 80.0},
                                             {90.0, 80.0, 100.0, 80.0},
                                             {100.0, 0.0, 100.0, 5.0},
                                             {2.0, 2.0, 2.5, 9.0}})),
            0);
  EXPECT_EQ(list(boxes_of_size(clipped, 0.1)), (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(list(boxes_of_size(clipped, 0)), (std::vector<std::int64_t>{0, 1, 2, 3}));
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor odd =
      torch::tensor({{0.0F, 0.0F, infinity, 9.0F}, {NAN, 0.0F, 9.0F, 9.0F}, {5.0F, 5.0F, 4.0F, 9.0F}});
  EXPECT_EQ(boxes_of_size(odd, 0).numel(), 0);
  EXPECT_EQ(boxes_of_size(torch::empty({0, 4}), 0).numel(), 0);
}

// By hand: size 32, ratio 1/2: 32·√2 wide (45.25) and 32/√2 high (22.63), half of each rounded: 23, 11.
TEST(Boxes, AnchorsLieAtEachPosition) {
  const Tensor anchors = make_anchors({{32, 64}, {0.5, 1, 2}, 16}, 2, 3);
  ASSERT_EQ(anchors.sizes().vec(), (std::vector<std::int64_t>{2 * 3 * 6, 4}));
  EXPECT_EQ(distance(anchors[0], torch::tensor({-23.0, -11.0, 23.0, 11.0})), 0);
  EXPECT_EQ(distance(anchors[2], torch::tensor({-16.0, -16.0, 16.0, 16.0})), 0);
  EXPECT_EQ(distance(anchors[3], torch::tensor({-32.0, -32.0, 32.0, 32.0})), 0);
  EXPECT_EQ(distance(anchors[4], torch::tensor({-11.0, -23.0, 11.0, 23.0})), 0);
  EXPECT_EQ(distance(anchors[6 * (3 + 2) + 2], torch::tensor({32.0 - 16, 16.0 - 16, 32.0 + 16, 16.0 + 16})),
            0);
}

TEST(Boxes, SuppressAndHighestTakeTensors) {
  const Tensor boxes = torch::tensor({{0.0, 0.0, 4.0, 4.0}, {0.0, 0.0, 4.0, 4.5}, {9.0, 9.0, 12.0, 12.0}});
  const Tensor scores = torch::tensor({0.5, 0.6, 0.1});
  EXPECT_EQ(list(suppress(boxes, scores, {}, 0.5)), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(list(suppress(boxes, scores, torch::tensor({1, 2, 1}), 0.5)),
            (std::vector<std::int64_t>{1, 0, 2}));
  EXPECT_EQ(suppress(torch::empty({0, 4}), torch::empty({0}), {}, 0.5).numel(), 0);
  EXPECT_EQ(list(highest(scores, 2)), (std::vector<std::int64_t>{1, 0}));
  EXPECT_THROW(suppress(boxes, torch::zeros({2}), {}, 0.5), c10::Error);
  EXPECT_THROW(suppress(boxes, scores, torch::zeros({2}, torch::kLong), 0.5), c10::Error);
}

// A table of IoUs by composition; the low-quality ones from its columns' maxima.
TEST(Boxes, MatchesEqualTheirComposition) {
  const Tensor boxes = random_boxes(400, 6);
  const Tensor truths = random_boxes(9, 7);
  const Tensor table = composed_iou(boxes, truths);
  const auto [best, which] = table.max(1);
  Tensor expected = torch::where(best >= 0.7, which, torch::full_like(which, kernels::kBetween));
  expected = torch::where(best < 0.3, torch::full_like(which, kernels::kBackground), expected);
  EXPECT_TRUE(torch::equal(match_boxes(boxes, truths, {0.7, 0.3, false}), expected));
  const Tensor low = (table == std::get<0>(table.max(0))).any(1);
  expected = torch::where(low, which, expected);
  EXPECT_TRUE(torch::equal(match_boxes(boxes, truths, {0.7, 0.3, true}), expected));
  EXPECT_EQ(list(match_boxes(boxes.slice(0, 0, 2), torch::empty({0, 4}, torch::kDouble), {})),
            (std::vector<std::int64_t>{kernels::kBackground, kernels::kBackground}));
}

TEST(Boxes, SamplesAreBalancedAndFollowFromTheStream) {
  // 6 of foreground, 2 between, 92 of background.
  Tensor matched = torch::full({100}, kernels::kBackground, torch::kLong);
  matched.slice(0, 10, 16) = 3;
  matched.slice(0, 20, 22) = kernels::kBetween;
  const auto sample = [&](std::uint64_t seed, std::int64_t count, double fraction) {
    RandomStream stream(seed, "sample");
    return sample_boxes(matched, count, fraction, stream);
  };
  const BoxSample some = sample(1, 16, 0.25);
  EXPECT_EQ(some.foreground.numel(), 4);
  EXPECT_EQ(some.background.numel(), 12);
  EXPECT_TRUE((matched.index_select(0, some.foreground) >= 0).all().item<bool>());
  EXPECT_TRUE((matched.index_select(0, some.background) == kernels::kBackground).all().item<bool>());
  EXPECT_EQ(list(some.background), list(sample(1, 16, 0.25).background));
  EXPECT_NE(list(some.background), list(sample(2, 16, 0.25).background));
  const BoxSample all = sample(1, 1000, 0.5);
  EXPECT_EQ(all.foreground.numel(), 6);
  EXPECT_EQ(all.background.numel(), 92);
  // Each of the foreground is drawn about as often: 4 of 6, 400 times; five standard deviations are 47.
  std::map<std::int64_t, int> seen;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    for (const std::int64_t i : list(sample(seed, 16, 0.25).foreground)) ++seen[i];
  }
  for (std::int64_t i = 10; i < 16; ++i) EXPECT_NEAR(seen[i], 400 * 4 / 6.0, 47) << i;
}

// The bilinear interpolation of torch's grid_sample, with zeros beyond the border.
TEST(Boxes, PastedMasksEqualGridSample) {
  torch::manual_seed(8);
  const PictureSize size{40, 50};
  const Tensor masks = torch::rand({30, 14, 14});
  const Tensor boxes = (random_boxes(30, 9) * 0.8 - 12).to(torch::kFloat);
  const auto axis = [&](std::int64_t from, std::int64_t pixels) {
    const Tensor low = boxes.select(1, from).unsqueeze(1).to(torch::kDouble);
    const Tensor high = boxes.select(1, from + 2).unsqueeze(1).to(torch::kDouble);
    return (torch::arange(pixels, torch::kDouble) + 0.5 - low) / (high - low) * 2 - 1;
  };
  const Tensor x = axis(0, size.width).unsqueeze(1).expand({-1, size.height, -1});
  const Tensor y = axis(1, size.height).unsqueeze(2).expand({-1, -1, size.width});
  const Tensor values =
      torch::nn::functional::grid_sample(masks.to(torch::kDouble).unsqueeze(1), torch::stack({x, y}, 3),
                                         torch::nn::functional::GridSampleFuncOptions().align_corners(false))
          .squeeze(1);
  const Tensor pasted = paste_masks(masks, boxes, size);
  // Where float32 may fall on the other side of the threshold, nothing is said.
  const Tensor clear = (values - 0.5).abs() > 1e-5;
  EXPECT_TRUE(
      torch::equal(pasted.masked_select(clear), (values >= 0.5).to(torch::kByte).masked_select(clear)));
  EXPECT_GT(clear.to(torch::kDouble).mean().item<double>(), 0.999);
  EXPECT_GT(pasted.sum().item<std::int64_t>(), 1000);
  EXPECT_EQ(paste_masks(torch::empty({0, 14, 14}), torch::empty({0, 4}), size).sizes().vec(),
            (std::vector<std::int64_t>{0, 40, 50}));
}

}  // namespace
}  // namespace refnorm::ops
