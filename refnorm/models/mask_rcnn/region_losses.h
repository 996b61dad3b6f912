#pragma once

#include <vector>

#include <refnorm/base/random.h>
#include <refnorm/models/mask_rcnn/region_head.h>
#include <refnorm/models/mask_rcnn/target.h>

namespace refnorm::models {

/// Regions that the head learns from, those of the foreground and of the background of each picture in turn.
struct RegionSample {
  torch::Tensor regions;     ///< [R, 5]
  torch::Tensor labels;      ///< [R] int64; 0: background
  torch::Tensor deltas;      ///< [F, 4] of the foreground, in order
  torch::Tensor foreground;  ///< [F] int64: which of the regions
  struct Instance {
    std::int64_t picture, truth;
  };
  std::vector<Instance> instances;  ///< F: what each of them shows
};

/// Draws from each picture's proposals, to which its truths are added.
RegionSample sample_regions(const std::vector<torch::Tensor>& proposals, const std::vector<Target>& targets,
                            const MaskRcnnOptions& options, RandomStream& stream);

/// classes and boxes of DetectionLosses.
struct BoxLosses {
  torch::Tensor classes, boxes;
};
BoxLosses box_losses(const RegionScores& scores, const RegionSample& sample, const RegionOptions& options);

/// Regions of the foreground whose pictures say something about masks: which of `sample.foreground`, and what
/// is to be predicted, [F', side, side].
struct MaskTargets {
  torch::Tensor which, masks;
};
MaskTargets mask_targets(const RegionSample& sample, const std::vector<Target>& targets, std::int64_t side);

/// masks of DetectionLosses; `logits` [F', 1 + classes, M, M] of such regions, of the class that `labels`
/// say.
torch::Tensor mask_loss(const torch::Tensor& logits, const torch::Tensor& labels, const torch::Tensor& masks);

}  // namespace refnorm::models
