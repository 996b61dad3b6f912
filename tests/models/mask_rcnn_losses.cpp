// The parts of the losses by hand, or composed in double precision.
#include <cmath>

#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/models/mask_rcnn/proposals.h>
#include <refnorm/models/mask_rcnn/region_losses.h>

#include "tests/support/tensors.h"

namespace refnorm::models {
namespace {

using refnorm::testing::distance;
using torch::Tensor;

Target target(const Tensor& boxes, const Tensor& labels, std::vector<std::uint8_t> crowd = {}) {
  return {boxes, labels, std::move(crowd), {}};
}

Target nothing() {
  return target(torch::empty({0, 4}), torch::empty({0}, torch::kLong));
}

/// Two positions of two anchors each: 16x16 around (16, 16) and (40, 16), and twice as large.
AnchorScores scores_of(const Tensor& objectness, const Tensor& deltas) {
  return {objectness, deltas,
          torch::tensor({{8.0F, 8.0F, 24.0F, 24.0F},
                         {0.0F, 0.0F, 32.0F, 32.0F},
                         {32.0F, 8.0F, 48.0F, 24.0F},
                         {24.0F, 0.0F, 56.0F, 32.0F}})};
}

double softplus(double x) {
  return std::log1p(std::exp(x));
}

// The truth is anchor 0, moved right by 2 pixels: an IoU of 14/18, at least 0.7; anchor 1 covers 256 of
// 1,024: background. The loss: log(1 + exp(−1)) of the one, log(1 + exp(x)) of the others, over 4. The code
// of the box is (2/16, 0, 0, 0); at a distance of 1/16 from it, below beta, the loss is (1/16)²/2/beta.
TEST(ProposalLosses, EqualTheirSumsByHand) {
  Tensor deltas = torch::zeros({1, 4, 4});
  deltas[0][0][0] = 3.0 / 16;
  const AnchorScores scores = scores_of(torch::tensor({{1.0F, -1.0F, -2.0F, 0.5F}}), deltas);
  const Target one = target(torch::tensor({{10.0F, 8.0F, 26.0F, 24.0F}}), torch::tensor({2}, torch::kLong));
  RandomStream stream(1, "sample");
  const ProposalLosses losses = proposal_losses(scores, {{32, 64}}, {one}, {}, stream);
  const double expected = (softplus(-1) + softplus(-1) + softplus(-2) + softplus(0.5)) / 4;
  EXPECT_NEAR(losses.objectness.item<double>(), expected, 1e-6);
  EXPECT_NEAR(losses.boxes.item<double>(), 9 * (1.0 / 16) * (1.0 / 16) / 2 / 4, 1e-8);
}

// Of a picture 40 wide only anchors 0 and 1 stay within; 8 more pixels let 2 in; without a border all count.
TEST(ProposalLosses, LeaveOutAnchorsThatLeaveThePicture) {
  const Tensor logits = torch::tensor({{0.0F, 1.0F, 2.0F, 3.0F}});
  const auto loss = [&](std::optional<double> border) {
    MaskRcnnOptions options;
    options.proposals.border = border;
    RandomStream stream(1, "sample");
    return proposal_losses(scores_of(logits, torch::zeros({1, 4, 4})), {{32, 40}}, {nothing()}, options,
                           stream)
        .objectness.item<double>();
  };
  EXPECT_NEAR(loss(0.0), (softplus(0) + softplus(1)) / 2, 1e-6);
  EXPECT_NEAR(loss(8.0), (softplus(0) + softplus(1) + softplus(2)) / 3, 1e-6);
  EXPECT_NEAR(loss(std::nullopt), (softplus(0) + softplus(1) + softplus(2) + softplus(3)) / 4, 1e-6);
}

// A crowd over the left half covers anchor 0, and of anchor 1 all but none: 24 of 32 columns, 0.75.
TEST(ProposalLosses, LeaveOutBackgroundInCrowds) {
  const Tensor logits = torch::tensor({{0.0F, 1.0F, 2.0F, 3.0F}});
  const Target crowd =
      target(torch::tensor({{0.0F, 0.0F, 24.0F, 32.0F}}), torch::tensor({1}, torch::kLong), {1});
  RandomStream stream(1, "sample");
  const ProposalLosses losses =
      proposal_losses(scores_of(logits, torch::zeros({1, 4, 4})), {{32, 64}}, {crowd}, {}, stream);
  EXPECT_NEAR(losses.objectness.item<double>(), (softplus(2) + softplus(3)) / 2, 1e-6);
  EXPECT_EQ(losses.boxes.item<float>(), 0);
}

TEST(ProposalLosses, AreZeroWithoutAnchors) {
  const AnchorScores scores = scores_of(torch::zeros({1, 4}), torch::zeros({1, 4, 4}));
  RandomStream stream(1, "sample");
  const ProposalLosses losses = proposal_losses(scores, {{4, 4}}, {nothing()}, {}, stream);
  EXPECT_EQ(losses.objectness.item<float>(), 0);
  EXPECT_EQ(losses.boxes.item<float>(), 0);
}

TEST(Propose, DecodesClipsAndSuppresses) {
  Tensor deltas = torch::zeros({1, 4, 4});
  deltas[0][3][0] = -0.75;  // anchor 3 moves left by 24: onto anchor 1
  const Tensor logits = torch::tensor({{0.0F, 1.0F, 2.0F, 3.0F}});
  const auto propose_in = [&](ops::PictureSize size, ProposalOptions options) {
    return propose(scores_of(logits, deltas), {size}, options, options.training)[0];
  };
  EXPECT_EQ(distance(propose_in({32, 64}, {}), torch::tensor({{0.0F, 0.0F, 32.0F, 32.0F},
                                                              {32.0F, 8.0F, 48.0F, 24.0F},
                                                              {8.0F, 8.0F, 24.0F, 24.0F}})),
            0);
  EXPECT_EQ(distance(propose_in({20, 40}, {}), torch::tensor({{0.0F, 0.0F, 32.0F, 20.0F},
                                                              {32.0F, 8.0F, 40.0F, 20.0F},
                                                              {8.0F, 8.0F, 24.0F, 20.0F}})),
            0);
  ProposalOptions few;
  few.training = {2, 9};
  EXPECT_EQ(propose_in({32, 64}, few).size(0), 2);
  few.training = {9, 1};
  EXPECT_EQ(propose_in({32, 64}, few).size(0), 1);
  ProposalOptions large;
  large.smallest = 20;
  EXPECT_EQ(propose_in({32, 64}, large).size(0), 1);
}

TEST(Propose, LeavesOutWhatIsNotFinite) {
  Tensor deltas = torch::zeros({1, 4, 4});
  deltas[0][2][1] = NAN;
  const Tensor logits = torch::tensor({{0.0F, NAN, 2.0F, 3.0F}});
  const Tensor found = propose(scores_of(logits, deltas), {{32, 64}}, {}, {9, 9})[0];
  EXPECT_EQ(distance(found, torch::tensor({{24.0F, 0.0F, 56.0F, 32.0F}, {8.0F, 8.0F, 24.0F, 24.0F}})), 0);
}

// Truths join the proposals: nothing is proposed near the second, and yet it is learned.
TEST(SampleRegions, AddsTruthsAndSaysWhatRegionsShow) {
  const Target first = target(
      torch::tensor({{0.0F, 0.0F, 10.0F, 10.0F}, {5.0F, 5.0F, 6.0F, 6.0F}, {30.0F, 30.0F, 40.0F, 40.0F}}),
      torch::tensor({7, 3, 4}, torch::kLong), {0, 1, 0});
  const Tensor proposals =
      torch::tensor({{0.0F, 0.0F, 10.0F, 8.0F}, {50.0F, 0.0F, 60.0F, 10.0F}, {5.0F, 5.0F, 6.0F, 6.0F}});
  RandomStream stream(1, "sample");
  const RegionSample sample =
      sample_regions({torch::empty({0, 4}), proposals}, {nothing(), first}, {}, stream);
  EXPECT_EQ(distance(sample.regions, torch::tensor({{1.0F, 0.0F, 0.0F, 10.0F, 8.0F},
                                                    {1.0F, 0.0F, 0.0F, 10.0F, 10.0F},
                                                    {1.0F, 30.0F, 30.0F, 40.0F, 40.0F},
                                                    {1.0F, 50.0F, 0.0F, 60.0F, 10.0F}})),
            0)
      << "what lies in the crowd is left out";
  EXPECT_TRUE(torch::equal(sample.labels, torch::tensor({7, 7, 4, 0}, torch::kLong)));
  EXPECT_TRUE(torch::equal(sample.foreground, torch::tensor({0, 1, 2}, torch::kLong)));
  // 8 high, to 10: its centre moves by 1/8 and log(10/8), times 10 and 5.
  EXPECT_LT(distance(sample.deltas[0], torch::tensor({0.0, 1.25, 0.0, 5 * std::log(1.25)})), 1e-6);
  EXPECT_EQ(sample.deltas.slice(0, 1).abs().max().item<float>(), 0);
  ASSERT_EQ(sample.instances.size(), 3);
  EXPECT_EQ(sample.instances[1].truth, 0);
  EXPECT_EQ(sample.instances[2].truth, 2) << "an index of the target, crowds counted";
  EXPECT_EQ(sample.instances[2].picture, 1);
}

TEST(SampleRegions, TakesAtMostItsPartOfForeground) {
  const Target one = target(torch::tensor({{0.0F, 0.0F, 10.0F, 10.0F}}), torch::tensor({1}, torch::kLong));
  const Tensor near = torch::tensor({{0.0F, 0.0F, 10.0F, 10.0F}}).repeat({40, 1});
  const Tensor far = torch::tensor({{50.0F, 0.0F, 60.0F, 10.0F}}).repeat({40, 1});
  MaskRcnnOptions options;
  options.regions.per_picture = 16;
  RandomStream stream(1, "sample");
  const RegionSample sample = sample_regions({torch::cat({near, far})}, {one}, options, stream);
  EXPECT_EQ(sample.regions.size(0), 16);
  EXPECT_EQ(sample.foreground.numel(), 4);
}

// Two classes and the background. Region 0 shows class 2; its box is off by 1/2 in one number and by 3 in
// another: 1/8 and 2.5, over 2 regions. Only its own class's numbers count.
TEST(BoxLosses, EqualTheirSumsByHand) {
  RegionSample sample;
  sample.labels = torch::tensor({2, 0}, torch::kLong);
  sample.foreground = torch::tensor({0}, torch::kLong);
  sample.deltas = torch::tensor({{1.0F, 0.0F, 0.0F, -1.0F}});
  RegionScores scores{torch::tensor({{0.0F, 0.0F, 1.0F}, {2.0F, 0.0F, 0.0F}}), torch::full({2, 12}, 9.0F)};
  scores.deltas[0].slice(0, 8, 12) = torch::tensor({1.5F, 0.0F, 0.0F, 2.0F});
  const BoxLosses losses = box_losses(scores, sample, {});
  const double first = std::log(2 + std::exp(1.0)) - 1;
  const double second = std::log(2 + std::exp(2.0)) - 2;
  EXPECT_NEAR(losses.classes.item<double>(), (first + second) / 2, 1e-6);
  EXPECT_NEAR(losses.boxes.item<double>(), (0.125 + 2.5) / 2, 1e-6);
}

TEST(MaskLosses, AreOfTheOwnClass) {
  RegionSample sample;
  sample.regions = torch::tensor(
      {{0.0F, 1.0F, 2.0F, 3.0F, 4.0F}, {0.0F, 5.0F, 6.0F, 7.0F, 8.0F}, {1.0F, 0.0F, 0.0F, 9.0F, 9.0F}});
  sample.labels = torch::tensor({0, 2, 1}, torch::kLong);
  sample.foreground = torch::tensor({1, 2}, torch::kLong);
  sample.instances = {{0, 6}, {1, 0}};
  Target seen = nothing();
  seen.rasterize = [](std::int64_t instance, const std::array<double, 4>& box, std::int64_t side,
                      std::span<float> out) {
    EXPECT_EQ(instance, 6);
    EXPECT_EQ(box, (std::array<double, 4>{5, 6, 7, 8}));
    EXPECT_EQ(side, 2);
    out[3] = 1;
  };
  const MaskTargets masks = mask_targets(sample, {seen, nothing()}, 2);
  EXPECT_TRUE(torch::equal(masks.which, torch::tensor({0}, torch::kLong)))
      << "the other picture has no masks";
  EXPECT_EQ(distance(masks.masks, torch::tensor({{{0.0, 0.0}, {0.0, 1.0}}})), 0);
  Tensor logits = torch::full({1, 3, 2, 2}, 50.0);
  logits[0][2] = torch::tensor({{0.0, 0.0}, {0.0, 3.0}});
  EXPECT_NEAR(
      mask_loss(logits, torch::tensor({2}, torch::kLong), masks.masks.to(torch::kFloat)).item<double>(),
      (3 * std::log(2.0) + softplus(-3)) / 4, 1e-6);
}

}  // namespace
}  // namespace refnorm::models
