#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <torch/types.h>

#include <refnorm/ops/boxes.h>

namespace refnorm::models {

/// Fills out[side, side] with what the mask head is to predict for `box` (x1, y1, x2, y2 in the picture that
/// the network sees) of an instance: 1 where it is, 0 elsewhere, or something between.
using Rasterize = std::function<void(std::int64_t instance, const std::array<double, 4>& box,
                                     std::int64_t side, std::span<float> out)>;

/// What is to be found in a picture.
struct Target {
  torch::Tensor boxes;   ///< [n, 4] float32: x1, y1, x2, y2, with an area
  torch::Tensor labels;  ///< [n] int64, 1 to the number of classes
  /// Of each: whether it is a crowd, in which nothing is to be found or wrong. Empty: none is.
  std::vector<std::uint8_t> crowd;
  Rasterize rasterize;  ///< none given: nothing is said about masks in this picture
};

/// What was found in a picture, by falling score.
struct Detections {
  torch::Tensor boxes;   ///< [n, 4] float32
  torch::Tensor scores;  ///< [n] float32
  torch::Tensor labels;  ///< [n] int64, 1 to the number of classes
  torch::Tensor masks;   ///< [n, M, M] float32: probabilities, over the box; see ops::paste_masks()
};

/// Of one batch; 0-dimensional float32 tensors.
struct DetectionLosses {
  torch::Tensor objectness;      ///< binary cross entropy, the mean over the sampled anchors
  torch::Tensor proposal_boxes;  ///< smooth L1 of foreground anchors, over the number of sampled ones
  torch::Tensor classes;         ///< cross entropy, the mean over the sampled regions
  torch::Tensor boxes;           ///< smooth L1 of foreground regions, over the number of sampled ones
  torch::Tensor masks;           ///< binary cross entropy, the mean over the foreground regions' pixels

  torch::Tensor total() const { return objectness + proposal_boxes + classes + boxes + masks; }
};

}  // namespace refnorm::models
