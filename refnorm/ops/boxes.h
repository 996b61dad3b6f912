#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <torch/types.h>

#include <refnorm/base/random.h>
#include <refnorm/kernels/boxes.h>

namespace refnorm::ops {

// Boxes are rows of (x1, y1, x2, y2) of float32 (or float64 where nothing else is said), coordinates of
// pixels' corners: the whole of a picture is (0, 0, width, height), and a box's width is x2 − x1, without the
// 1 that Detectron adds. All but encode_boxes() and decode_boxes() is without gradient.

/// ious[A, B] = common area / covered area; 0 where two have nothing in common, or one is not finite or has
/// no area.
torch::Tensor box_iou(const torch::Tensor& a, const torch::Tensor& b);
/// The same over the area of a's boxes alone: how much of each of them lies in b's.
torch::Tensor box_overlap(const torch::Tensor& a, const torch::Tensor& b);

/// What regression predicts of a box relative to an anchor or a proposal: dx, dy, in its widths and heights,
/// and the logarithms of the sizes' ratios, each times a weight.
struct BoxCoder {
  std::array<double, 4> weights{1, 1, 1, 1};
  double largest = 4.135166556742356;  ///< log(1000/16): above it dw and dh count as this
};

/// boxes[N, 4] relative to anchors[N, 4]. Sizes must be above 0 for a finite result.
torch::Tensor encode_boxes(const torch::Tensor& boxes, const torch::Tensor& anchors,
                           const BoxCoder& coder = {});
/// deltas[N, 4·K] of anchors[N, 4] -> boxes[N, 4·K].
torch::Tensor decode_boxes(const torch::Tensor& deltas, const torch::Tensor& anchors,
                           const BoxCoder& coder = {});

struct PictureSize {
  std::int64_t height = 0, width = 0;
};

/// Moves corners that lie outside to the picture's border.
torch::Tensor clip_boxes(const torch::Tensor& boxes, PictureSize size);

/// The indices of finite boxes at least `smallest` wide and high, int64, ascending.
torch::Tensor boxes_of_size(const torch::Tensor& boxes, double smallest);

/// The anchors of a feature map of rows x columns: at each position, of stride `stride`, one for each ratio
/// (height/width) and size (the root of the area), sizes fastest. [rows · columns · A, 4], position by
/// position. As torchvision has them: centred at the upper left corner of the position's pixels, their
/// corners rounded to whole pixels. (Detectron centres them in the position.)
struct AnchorPlan {
  std::vector<double> sizes{32, 64, 128, 256, 512};
  std::vector<double> ratios{0.5, 1, 2};
  double stride = 16;

  std::int64_t each() const { return static_cast<std::int64_t>(sizes.size() * ratios.size()); }
};
torch::Tensor make_anchors(const AnchorPlan& plan, std::int64_t rows, std::int64_t columns);

/// Non-maximum suppression: the indices of what is kept, int64, by falling score, equal scores by index. A
/// box goes where one that is kept overlaps it by an IoU above `threshold`, among those of the same group
/// (class) where groups[N] (int64) are given. What is not finite, score or box, is never kept. At most
/// `most`.
torch::Tensor suppress(const torch::Tensor& boxes, const torch::Tensor& scores, const torch::Tensor& groups,
                       double threshold, std::int64_t most = INT64_MAX);

/// The indices of the `most` highest scores[N], by falling score, equal ones by index; none that is not
/// finite.
torch::Tensor highest(const torch::Tensor& scores, std::int64_t most);

using kernels::MatchThresholds;

/// For each box the index of its truth, kernels::kBackground or kernels::kBetween: int64 [N]. `truths` may be
/// empty.
torch::Tensor match_boxes(const torch::Tensor& boxes, const torch::Tensor& truths,
                          const MatchThresholds& thresholds);

/// Of boxes whose match is a truth (foreground) and of those that are background, some of each.
struct BoxSample {
  torch::Tensor foreground, background;  ///< indices, int64, ascending
};

/// At most `count`, of which at most the part `fraction` is foreground; drawn from the stream.
BoxSample sample_boxes(const torch::Tensor& matched, std::int64_t count, double fraction,
                       RandomStream& stream);

/// Masks[N, M, M] of probabilities, stretched over boxes[N, 4], as pictures [N, height, width] of bytes: 1
/// where the bilinear interpolation at the pixel's centre is at least `threshold`. Beyond the mask lie zeros;
/// nothing is rounded to whole pixels before.
torch::Tensor paste_masks(const torch::Tensor& masks, const torch::Tensor& boxes, PictureSize size,
                          double threshold = 0.5);

}  // namespace refnorm::ops
