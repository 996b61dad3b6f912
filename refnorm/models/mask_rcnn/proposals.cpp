#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/utils.h>

#include <refnorm/models/mask_rcnn/proposals.h>
#include <refnorm/ops/tap.h>

namespace refnorm::models {
namespace {

using ops::tap;
using torch::Tensor;

/// The indices of anchors that stay within a picture, but for a border.
Tensor within(const Tensor& anchors, ops::PictureSize size, std::optional<double> border) {
  if (!border) return torch::arange(anchors.size(0), anchors.options().dtype(torch::kLong));
  const auto right = static_cast<double>(size.width) + *border;
  const auto bottom = static_cast<double>(size.height) + *border;
  return torch::nonzero((anchors.select(1, 0) >= -*border) & (anchors.select(1, 1) >= -*border) &
                        (anchors.select(1, 2) <= right) & (anchors.select(1, 3) <= bottom))
      .flatten();
}

/// Anchors of one picture to learn from; indices of all anchors.
struct AnchorSample {
  Tensor foreground, background;
  Tensor truths;  ///< a box for each of the foreground
};

AnchorSample sample_anchors(const Tensor& anchors, ops::PictureSize size, const Target& target,
                            const MaskRcnnOptions& options, RandomStream& stream) {
  const ProposalOptions& by = options.proposals;
  const Tensor inside = within(anchors, size, by.border);
  const Tensor candidates = anchors.index_select(0, inside);
  const Tensor truths = truths_of(target, /*crowds=*/false).boxes;
  Tensor matched = ops::match_boxes(candidates, truths, {by.foreground, by.background, true});
  matched = leave_out_crowds(matched, candidates, target, options.crowd);
  const ops::BoxSample chosen =
      ops::sample_boxes(matched, by.anchors_per_picture, by.foreground_part, stream);
  return {inside.index_select(0, chosen.foreground), inside.index_select(0, chosen.background),
          truths.index_select(0, matched.index_select(0, chosen.foreground))};
}

}  // namespace

Truths truths_of(const Target& target, bool crowds) {
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < target.boxes.size(0); ++i) {
    const bool crowd = !target.crowd.empty() && target.crowd[i] != 0;
    if (crowd == crowds) chosen.push_back(i);
  }
  const Tensor indices = torch::tensor(chosen, torch::kLong).to(target.boxes.device());
  return {target.boxes.index_select(0, indices), indices};
}

Tensor leave_out_crowds(const Tensor& matched, const Tensor& boxes, const Target& target, double part) {
  const Tensor crowds = truths_of(target, /*crowds=*/true).boxes;
  if (crowds.size(0) == 0 || boxes.size(0) == 0) return matched;
  const Tensor covered = std::get<0>(ops::box_overlap(boxes, crowds).max(1)) >= part;
  return torch::where((matched == kernels::kBackground) & covered,
                      torch::full_like(matched, kernels::kBetween), matched);
}

ProposalNetworkImpl::ProposalNetworkImpl(std::int64_t channels_given, MaskRcnnOptions given)
    : channels(channels_given), options(std::move(given)) {
  reset();
}

void ProposalNetworkImpl::reset() {
  const std::int64_t each = options.proposals.anchors.each();
  const bool normalized = static_cast<bool>(options.head_norm);
  conv = register_module(
      "conv",
      torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 3).padding(1).bias(!normalized)));
  if (normalized) norm.fill(*this, "bn", options.head_norm, channels, 2);
  cls_logits = register_module("cls_logits", torch::nn::Conv2d(channels, each, 1));
  bbox_pred = register_module("bbox_pred", torch::nn::Conv2d(channels, 4 * each, 1));
}

AnchorScores ProposalNetworkImpl::forward(const Tensor& features) {
  Tensor x = tap("rpn.conv", conv(features));
  x = options.head_norm ? tap("rpn.bn", norm_act(norm, x)) : torch::relu(x);
  const std::int64_t pictures = features.size(0);
  const auto by_anchor = [&](const Tensor& map) {
    return map.permute({0, 2, 3, 1}).reshape({pictures, -1}).to(torch::kFloat);
  };
  const Tensor objectness = by_anchor(tap("rpn.cls_logits", cls_logits(x)));
  const Tensor deltas = by_anchor(tap("rpn.bbox_pred", bbox_pred(x))).view({pictures, -1, 4});
  return {objectness, deltas,
          ops::make_anchors(options.proposals.anchors, features.size(2), features.size(3))};
}

std::vector<Tensor> propose(const AnchorScores& scores, const std::vector<ops::PictureSize>& sizes,
                            const ProposalOptions& options, ProposalOptions::Counts counts) {
  const torch::NoGradGuard no_grad;
  const Tensor all_objectness = scores.objectness.to(torch::kCPU);
  const Tensor deltas = scores.deltas.to(torch::kCPU);
  std::vector<Tensor> proposals;
  for (std::int64_t i = 0; i < all_objectness.size(0); ++i) {
    const Tensor best = ops::highest(all_objectness[i], counts.before);
    const Tensor decoded =
        ops::decode_boxes(deltas[i].index_select(0, best), scores.anchors.index_select(0, best));
    const Tensor boxes = ops::clip_boxes(decoded, sizes[i]);
    const Tensor large = ops::boxes_of_size(boxes, options.smallest);
    const Tensor candidates = boxes.index_select(0, large);
    const Tensor objectness = all_objectness[i].index_select(0, best.index_select(0, large));
    const Tensor kept = ops::suppress(candidates, objectness, {}, options.suppress, counts.after);
    proposals.push_back(candidates.index_select(0, kept));
  }
  return proposals;
}

ProposalLosses proposal_losses(const AnchorScores& scores, const std::vector<ops::PictureSize>& sizes,
                               const std::vector<Target>& targets, const MaskRcnnOptions& options,
                               RandomStream& stream) {
  const torch::Device device = scores.objectness.device();
  std::vector<Tensor> logits;
  std::vector<Tensor> wanted;
  std::vector<Tensor> deltas;
  std::vector<Tensor> wanted_deltas;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto picture = static_cast<std::int64_t>(i);
    const AnchorSample sample = sample_anchors(scores.anchors, sizes[i], targets[i], options, stream);
    const Tensor all = torch::cat({sample.foreground, sample.background}).to(device);
    logits.push_back(scores.objectness[picture].index_select(0, all));
    Tensor label = torch::zeros_like(logits.back());
    label.narrow(0, 0, sample.foreground.numel()).fill_(1);
    wanted.push_back(label);
    deltas.push_back(scores.deltas[picture].index_select(0, sample.foreground.to(device)));
    wanted_deltas.push_back(
        ops::encode_boxes(sample.truths, scores.anchors.index_select(0, sample.foreground)).to(device));
  }
  const Tensor all = torch::cat(logits);
  const auto count = static_cast<double>(std::max<std::int64_t>(all.numel(), 1));
  return {
      torch::binary_cross_entropy_with_logits(all, torch::cat(wanted), {}, {}, at::Reduction::Sum) / count,
      torch::smooth_l1_loss(torch::cat(deltas), torch::cat(wanted_deltas), at::Reduction::Sum,
                            options.proposals.beta) /
          count};
}

}  // namespace refnorm::models
