#include <torch/types.h>

#include <refnorm/models/mask_rcnn/proposals.h>
#include <refnorm/models/mask_rcnn/region_losses.h>

namespace refnorm::models {
namespace {

using torch::Tensor;

std::vector<std::int64_t> numbers(const Tensor& tensor) {
  const Tensor given = tensor.to(torch::kCPU).contiguous();
  const auto* first = given.data_ptr<std::int64_t>();
  return {first, first + given.numel()};
}

/// What one picture adds to the sample.
struct PictureSample {
  Tensor boxes, labels, deltas;
  std::vector<std::int64_t> truths;  ///< of the foreground, which comes first
};

PictureSample sample_picture(const Tensor& proposals, const Target& target, const MaskRcnnOptions& options,
                             RandomStream& stream) {
  const RegionOptions& by = options.regions;
  const Truths truths = truths_of(target, /*crowds=*/false);
  const Tensor candidates = torch::cat({proposals, truths.boxes});
  Tensor matched = ops::match_boxes(candidates, truths.boxes, {by.foreground, by.foreground, false});
  matched = leave_out_crowds(matched, candidates, target, options.crowd);
  const ops::BoxSample chosen = ops::sample_boxes(matched, by.per_picture, by.foreground_part, stream);
  const Tensor match = matched.index_select(0, chosen.foreground);
  const Tensor shown = truths.indices.index_select(0, match);
  const Tensor foreground = candidates.index_select(0, chosen.foreground);
  PictureSample sample;
  sample.boxes = torch::cat({foreground, candidates.index_select(0, chosen.background)});
  sample.labels = torch::cat({target.labels.index_select(0, shown), torch::zeros_like(chosen.background)});
  sample.deltas = ops::encode_boxes(truths.boxes.index_select(0, match), foreground, by.coder);
  sample.truths = numbers(shown);
  return sample;
}

}  // namespace

RegionSample sample_regions(const std::vector<Tensor>& proposals, const std::vector<Target>& targets,
                            const MaskRcnnOptions& options, RandomStream& stream) {
  RegionSample sample;
  std::vector<Tensor> boxes;
  std::vector<Tensor> labels;
  std::vector<Tensor> deltas;
  std::vector<std::int64_t> foreground;
  std::int64_t regions = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const PictureSample one = sample_picture(proposals[i], targets[i], options, stream);
    for (std::size_t j = 0; j < one.truths.size(); ++j) {
      foreground.push_back(regions + static_cast<std::int64_t>(j));
      sample.instances.push_back({static_cast<std::int64_t>(i), one.truths[j]});
    }
    regions += one.boxes.size(0);
    boxes.push_back(one.boxes);
    labels.push_back(one.labels);
    deltas.push_back(one.deltas);
  }
  sample.regions = regions_of(boxes);
  sample.labels = torch::cat(labels);
  sample.deltas = torch::cat(deltas);
  sample.foreground = torch::tensor(foreground, torch::kLong);
  return sample;
}

BoxLosses box_losses(const RegionScores& scores, const RegionSample& sample, const RegionOptions& options) {
  const auto count = static_cast<double>(std::max<std::int64_t>(sample.labels.numel(), 1));
  const torch::Device device = scores.classes.device();
  const Tensor labels = sample.labels.to(device);
  const Tensor foreground = sample.foreground.to(device);
  const Tensor classes = torch::cross_entropy_loss(scores.classes, labels, {}, at::Reduction::Sum) / count;
  const Tensor own = labels.index_select(0, foreground);
  const Tensor each = scores.deltas.view({scores.deltas.size(0), -1, 4}).index_select(0, foreground);
  const Tensor predicted = each.gather(1, own.view({-1, 1, 1}).expand({-1, 1, 4})).squeeze(1);
  return {
      classes,
      torch::smooth_l1_loss(predicted, sample.deltas.to(device), at::Reduction::Sum, options.beta) / count};
}

MaskTargets mask_targets(const RegionSample& sample, const std::vector<Target>& targets, std::int64_t side) {
  const Tensor boxes = sample.regions.index_select(0, sample.foreground).contiguous();
  std::vector<std::int64_t> which;
  std::vector<Tensor> masks;
  for (std::size_t i = 0; i < sample.instances.size(); ++i) {
    const auto& [picture, truth] = sample.instances[i];
    const Rasterize& rasterize = targets[picture].rasterize;
    if (!rasterize) continue;
    const float* region = boxes.data_ptr<float>() + 5 * i;
    Tensor mask = torch::zeros({side, side});
    rasterize(truth, {region[1], region[2], region[3], region[4]}, side,
              {mask.data_ptr<float>(), static_cast<std::size_t>(side * side)});
    which.push_back(static_cast<std::int64_t>(i));
    masks.push_back(mask);
  }
  return {torch::tensor(which, torch::kLong),
          masks.empty() ? torch::empty({0, side, side}) : torch::stack(masks)};
}

Tensor mask_loss(const Tensor& logits, const Tensor& labels, const Tensor& masks) {
  const Tensor index =
      labels.to(logits.device()).view({-1, 1, 1, 1}).expand({-1, 1, logits.size(2), logits.size(3)});
  return torch::binary_cross_entropy_with_logits(logits.gather(1, index).squeeze(1),
                                                 masks.to(logits.device()));
}

}  // namespace refnorm::models
