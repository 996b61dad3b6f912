#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/models/mask_rcnn/mask_rcnn.h>

namespace refnorm::models {

using ops::PictureSize;
using torch::Tensor;

Detections choose_detections(const RegionScores& scores, const Tensor& proposals, PictureSize size,
                             const MaskRcnnOptions& options) {
  const DetectionOptions& by = options.detections;
  const std::int64_t each = options.classes + 1;
  const Tensor decoded = ops::decode_boxes(scores.deltas, proposals, options.regions.coder).view({-1, 4});
  const Tensor probabilities = torch::softmax(scores.classes, 1).flatten();
  const Tensor label = torch::arange(each, torch::kLong).repeat({proposals.size(0)});
  const Tensor scored = torch::nonzero((probabilities > by.score) & (label > 0)).flatten();
  const Tensor boxes = ops::clip_boxes(decoded.index_select(0, scored), size);
  const Tensor large = ops::boxes_of_size(boxes, by.smallest);
  const Tensor rows = scored.index_select(0, large);
  Detections found;
  found.boxes = boxes.index_select(0, large);
  found.scores = probabilities.index_select(0, rows);
  found.labels = label.index_select(0, rows);
  const Tensor kept = ops::suppress(found.boxes, found.scores, found.labels, by.suppress, by.most);
  found.boxes = found.boxes.index_select(0, kept);
  found.scores = found.scores.index_select(0, kept);
  found.labels = found.labels.index_select(0, kept);
  return found;
}

Detections MaskRcnnImpl::detect_in(const Tensor& features, const Tensor& proposals, PictureSize size) {
  // part(conv5 of some boxes, the first of them), for all of them.
  const auto by_parts = [&](const Tensor& boxes, const auto& part) {
    for (const Tensor& some : boxes.split(options.detections.regions_at_once)) {
      if (some.size(0) > 0) part(head->forward(features, regions_of({some})));
    }
  };
  std::vector<Tensor> classes{torch::empty({0, options.classes + 1})};
  std::vector<Tensor> deltas{torch::empty({0, 4 * (options.classes + 1)})};
  by_parts(proposals, [&](const Tensor& conv5) {
    const RegionScores scores = head->score(conv5);
    classes.push_back(scores.classes.to(torch::kCPU));
    deltas.push_back(scores.deltas.to(torch::kCPU));
  });
  Detections found =
      choose_detections({torch::cat(classes), torch::cat(deltas)}, proposals.to(torch::kCPU), size, options);

  const std::int64_t side = options.regions.grid.height;
  std::vector<Tensor> masks{torch::empty({0, side, side})};
  std::int64_t first = 0;
  by_parts(found.boxes, [&](const Tensor& conv5) {
    const Tensor logits = head->masks(conv5).to(torch::kCPU);
    const Tensor own = found.labels.narrow(0, first, logits.size(0)).view({-1, 1, 1, 1});
    masks.push_back(
        torch::sigmoid(logits.gather(1, own.expand({-1, 1, logits.size(2), logits.size(3)})).squeeze(1)));
    first += logits.size(0);
  });
  found.masks = torch::cat(masks);
  return found;
}

std::vector<Detections> MaskRcnnImpl::detect(const Tensor& images, const std::vector<PictureSize>& sizes) {
  const torch::NoGradGuard no_grad;
  check_pictures(images, sizes);
  const Tensor features = backbone(images);
  const std::vector<Tensor> proposals =
      propose(rpn(features), sizes, options.proposals, options.proposals.detecting);
  std::vector<Detections> found;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Tensor own = features.narrow(0, static_cast<std::int64_t>(i), 1);
    found.push_back(detect_in(own, proposals[i], sizes[i]));
  }
  return found;
}

}  // namespace refnorm::models
