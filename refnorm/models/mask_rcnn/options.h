#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <refnorm/norms/norm_layer.h>
#include <refnorm/ops/boxes.h>
#include <refnorm/ops/roi_align.h>

namespace refnorm::models {

// All defaults are those of Detectron's R50-C4, but where something else is said.

/// The region proposal network: which anchors it learns from, and which proposals it makes.
struct ProposalOptions {
  ops::AnchorPlan anchors;
  double foreground = 0.7;  ///< IoU with a truth from which on an anchor is to be found
  double background = 0.3;  ///< and below which it is not
  std::int64_t anchors_per_picture = 256;
  double foreground_part = 0.5;  ///< of them, at most
  /// Anchors that leave the picture by more pixels than this are not learned from; nothing: all are.
  std::optional<double> border = 0.0;
  double beta = 1.0 / 9;  ///< of the smooth L1 loss: where it goes from square to straight
  /// Proposals before and after suppression, each of a picture.
  struct Counts {
    std::int64_t before, after;
  };
  Counts training{12000, 2000}, detecting{6000, 1000};
  double suppress = 0.7;  ///< IoU above which the one of lower objectness goes
  double smallest = 0;    ///< width and height of a proposal, in pixels
};

/// Regions: which of them the head learns from.
struct RegionOptions {
  /// 14x14 bins of 1/16 (`scale` is set from the anchors' stride); aligned, as later frameworks have it.
  ops::RoiGrid grid;
  double foreground = 0.5;  ///< IoU with a truth from which on a region shows it; below: background
  std::int64_t per_picture = 512;
  double foreground_part = 0.25;  ///< of them, at most
  double beta = 1;                ///< of the smooth L1 loss
  ops::BoxCoder coder{{10, 10, 5, 5}};
  std::int64_t mask_channels = 256;
};

/// What becomes a detection.
struct DetectionOptions {
  double score = 0.05;    ///< above this
  double suppress = 0.5;  ///< IoU above which the lower score goes, within a class
  std::int64_t most = 100;
  double smallest = 0.01;              ///< width and height in pixels (torchvision's; Detectron takes any)
  std::int64_t regions_at_once = 256;  ///< through conv5, which bounds memory
};

struct MaskRcnnOptions {
  NormFactory norm;         ///< of the backbone
  NormFactory region_norm;  ///< of conv5 on the regions; none given: `norm`
  NormFactory
      head_norm;  ///< after the 3x3 convolution of proposals and the mask's deconvolution; none given: none
  std::int64_t depth = 50;    ///< of the ResNet: 18, 34, 50 or 101
  std::int64_t classes = 80;  ///< without the background
  std::int64_t in_channels = 3;
  /// The stem and the first stages keep their weights and their norms' statistics: 0 to 4, the stem being
  /// one.
  std::int64_t frozen_stages = 2;
  /// All norms of the backbone and of conv5 go by stored statistics and learn nothing (see freeze()).
  bool frozen_norms = false;
  ProposalOptions proposals;
  RegionOptions regions;
  DetectionOptions detections;
  /// initialize() gives the last norm of each residual block weight 0, else 1.
  bool zero_init_residual = true;
  /// A region or anchor of the background goes unused where at least this part of it lies in a crowd.
  double crowd = 0.7;
};

}  // namespace refnorm::models
