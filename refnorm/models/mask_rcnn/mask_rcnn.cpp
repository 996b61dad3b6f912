#include <torch/nn/cloneable.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/models/initialization.h>
#include <refnorm/models/mask_rcnn/mask_rcnn.h>
#include <refnorm/models/mask_rcnn/region_losses.h>
#include <refnorm/models/resnet.h>
#include <refnorm/norms/reference_layer.h>

namespace refnorm::models {
namespace {

using ops::PictureSize;
using torch::Tensor;

void check_options(const MaskRcnnOptions& options) {
  const auto at_least = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value < least) user_error("mask_rcnn: {} is {}, expected at least {}", name, value, least);
  };
  const auto part = [](const char* name, double value) {
    if (!(value >= 0 && value <= 1)) user_error("mask_rcnn: {} is {}, expected 0 to 1", name, value);
  };
  if (!options.norm) throw Error("mask_rcnn: no norm was given");
  at_least("classes", options.classes, 1);
  at_least("the number of anchors", options.proposals.anchors.each(), 1);
  at_least("anchors_per_picture", options.proposals.anchors_per_picture, 1);
  at_least("regions per_picture", options.regions.per_picture, 1);
  at_least("regions_at_once", options.detections.regions_at_once, 1);
  at_least("mask_channels", options.regions.mask_channels, 1);
  part("the proposals' foreground_part", options.proposals.foreground_part);
  part("the regions' foreground_part", options.regions.foreground_part);
}

void check_target(const Target& target, std::size_t picture, std::int64_t classes) {
  const auto wrong = [&](const std::string& what) {
    user_error("mask_rcnn: the target of picture {}: {}", picture, what);
  };
  const Tensor& boxes = target.boxes;
  const Tensor& labels = target.labels;
  if (!boxes.defined() || boxes.dim() != 2 || boxes.size(1) != 4 || boxes.scalar_type() != torch::kFloat)
    wrong("expected boxes [n, 4] of float32");
  if (!labels.defined() || labels.dim() != 1 || labels.size(0) != boxes.size(0) ||
      labels.scalar_type() != torch::kLong) {
    wrong(fmt::format("expected {} labels of int64", boxes.size(0)));
  }
  if (!target.crowd.empty() && static_cast<std::int64_t>(target.crowd.size()) != boxes.size(0))
    wrong(fmt::format("{} flags of crowds, expected {} or none", target.crowd.size(), boxes.size(0)));
  if (boxes.size(0) == 0) return;
  const Tensor sound = torch::isfinite(boxes).all(1) & (boxes.select(1, 2) > boxes.select(1, 0)) &
                       (boxes.select(1, 3) > boxes.select(1, 1));
  if (!sound.all().item<bool>()) wrong("a box without an area, or that is not finite");
  if (labels.min().item<std::int64_t>() < 1 || labels.max().item<std::int64_t>() > classes)
    wrong(fmt::format("labels from {} to {}, expected 1 to {}", labels.min().item<std::int64_t>(),
                      labels.max().item<std::int64_t>(), classes));
}

/// Zero, with every parameter of the mask branch in its graph: distributed training waits for all gradients.
Tensor no_mask_loss(RegionHeadImpl& head, const Tensor& conv5) {
  return head.masks(conv5.narrow(0, 0, std::min<std::int64_t>(1, conv5.size(0)))).sum() * 0;
}

}  // namespace

void check_pictures(const Tensor& images, const std::vector<PictureSize>& sizes) {
  if (images.dim() != 4 || static_cast<std::int64_t>(sizes.size()) != images.size(0)) {
    user_error("mask_rcnn: {} sizes of pictures, expected one for each of the images [{}]", sizes.size(),
               fmt::join(images.sizes(), ", "));
  }
  for (const PictureSize& size : sizes) {
    if (size.height < 1 || size.width < 1 || size.height > images.size(2) || size.width > images.size(3)) {
      user_error("mask_rcnn: a picture of {}x{}, expected it within the images of {}x{}", size.width,
                 size.height, images.size(3), images.size(2));
    }
  }
}

MaskRcnnImpl::MaskRcnnImpl(MaskRcnnOptions given) : options(std::move(given)) {
  check_options(options);
  reset();
}

void MaskRcnnImpl::reset() {
  backbone = register_module("backbone", C4Backbone(options));
  rpn = register_module("rpn", ProposalNetwork(backbone->out_channels(), options));
  head = register_module("head", RegionHead(options));
}

std::shared_ptr<torch::nn::Module> MaskRcnnImpl::clone(const c10::optional<torch::Device>& device) const {
  auto copy = torch::nn::Cloneable<MaskRcnnImpl>::clone(device);
  std::dynamic_pointer_cast<MaskRcnnImpl>(copy)->freeze_parts();
  return copy;
}

void MaskRcnnImpl::freeze_parts() {
  backbone->freeze_stages();
  head->freeze_norms();
}

void MaskRcnnImpl::initialize(std::uint64_t seed) {
  draw_he(*this, seed);
  if (options.zero_init_residual) zero_residual_branches(*this);
  const torch::NoGradGuard no_grad;
  for (const char* name : {"rpn.conv.weight", "rpn.cls_logits.weight", "rpn.bbox_pred.weight"})
    draw_normal(named_parameters()[name], 0.01, seed, name);
  draw_normal(head->bbox_pred->weight, 0.001, seed, "head.bbox_pred.weight");
  // Each value of a deconvolution of 2x2 with stride 2 sees one value of each channel.
  draw_normal(head->mask_deconv->weight, std::sqrt(2.0 / static_cast<double>(head->out_channels())), seed,
              "head.mask_deconv.weight");
  if (head->mask_deconv->bias.defined()) head->mask_deconv->bias.zero_();
}

void MaskRcnnImpl::reject_live_references() const {
  if (!is_training()) return;
  for (const auto& item : named_modules("", /*include_self=*/false)) {
    const auto layer = std::dynamic_pointer_cast<ReferenceLayer>(item.value());
    if (layer == nullptr || !layer->has_reference() || layer->policy() != Reference::kLive) continue;
    if (!layer->reference_idle()) {
      user_error(
          "mask_rcnn: the norm '{}' has a live reference, which cannot ride along where regions are "
          "proposed; "
          "expected a refreshed, fixed or moving one",
          item.key());
    }
  }
}

DetectionLosses MaskRcnnImpl::losses(const Tensor& images, const std::vector<PictureSize>& sizes,
                                     const std::vector<Target>& targets, RandomStream& stream) {
  reject_live_references();
  check_pictures(images, sizes);
  if (targets.size() != sizes.size())
    user_error("mask_rcnn: {} targets, expected one for each of {} pictures", targets.size(), sizes.size());
  for (std::size_t i = 0; i < targets.size(); ++i) check_target(targets[i], i, options.classes);

  const Tensor features = backbone(images);
  const AnchorScores scores = rpn(features);
  const ProposalLosses proposal = proposal_losses(scores, sizes, targets, options, stream);
  const std::vector<Tensor> proposals = propose(scores, sizes, options.proposals, options.proposals.training);
  const RegionSample sample = sample_regions(proposals, targets, options, stream);
  const Tensor conv5 = head->forward(features, sample.regions);
  const BoxLosses box = box_losses(head->score(conv5), sample, options.regions);
  const MaskTargets masks = mask_targets(sample, targets, 2 * conv5.size(2));
  Tensor mask;
  if (masks.which.numel() == 0) {
    mask = no_mask_loss(*head, conv5);
  } else {
    const Tensor rows = sample.foreground.index_select(0, masks.which);
    mask = mask_loss(head->masks(conv5.index_select(0, rows.to(conv5.device()))),
                     sample.labels.index_select(0, rows), masks.masks);
  }
  return {proposal.objectness, proposal.boxes, box.classes, box.boxes, mask};
}

Tensor MaskRcnnImpl::forward(const Tensor& images, const std::vector<PictureSize>& sizes) {
  reject_live_references();
  const std::vector<PictureSize> own =
      sizes.empty() && images.dim() == 4
          ? std::vector<PictureSize>(images.size(0), {images.size(2), images.size(3)})
          : sizes;
  check_pictures(images, own);
  const Tensor features = backbone(images);
  ProposalOptions::Counts counts = options.proposals.training;
  counts.after = std::min(counts.after, options.regions.per_picture);
  const std::vector<Tensor> proposals = propose(rpn(features), own, options.proposals, counts);
  const Tensor conv5 = head->forward(features, regions_of(proposals));
  if (options.head_norm) head->masks(conv5);
  return head->score(conv5).classes;
}

}  // namespace refnorm::models
