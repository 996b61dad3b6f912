#pragma once

#include <cstdint>
#include <vector>

namespace refnorm::kernels {

// Boxes are (x1, y1, x2, y2), of corners: a box's width is x2 − x1.

/// ious[a][b], the area that both cover over the area that either covers; 0 where they have none in common,
/// or one of them is not finite. `over_first`: over the area of a box of `a` instead (what covers it?).
/// Instantiated for float and double.
template <class T>
void box_ious(const T* a, std::int64_t count_a, const T* b, std::int64_t count_b, bool over_first, T* ious);

/// Greedy suppression: boxes by falling score, equal scores by index; one is kept unless it overlaps one that
/// is kept, of the same group, by an IoU above `threshold`. Returns the indices of at most `most`, in that
/// order. What is not finite, score or box, is never kept. `groups` may be null: a single one.
std::vector<std::int64_t> suppress(const float* boxes, const float* scores, const std::int64_t* groups,
                                   std::int64_t count, double threshold, std::int64_t most);

/// The indices of the `most` highest scores, by falling score, equal ones by index; none that is not finite.
std::vector<std::int64_t> highest(const float* scores, std::int64_t count, std::int64_t most);

/// What match_boxes() says of a box that has no truth.
inline constexpr std::int64_t kBackground = -1, kBetween = -2;

struct MatchThresholds {
  double high = 0.5;  ///< at least this: a match
  double low = 0.5;   ///< below this: background; else between
  /// Each truth also gets the boxes that overlap it most, however little (but not by nothing): those of its
  /// highest IoU get the truth that they overlap most.
  bool allow_low_quality = false;
};

/// For each box the truth that it overlaps most (the first of equal ones), or kBackground, or kBetween.
/// ious[box][truth].
template <class T>
std::vector<std::int64_t> match_boxes(const T* ious, std::int64_t boxes, std::int64_t truths,
                                      const MatchThresholds& thresholds);

/// One mask of side x side probabilities, stretched over `box`, as a picture of bytes: 1 where the bilinear
/// interpolation at the pixel's centre is at least `threshold`, else 0. Beyond the mask lie zeros. All 0 for
/// a box that is not finite or has no area.
void paste_mask(const float* mask, std::int64_t side, const float* box, double threshold, std::int64_t height,
                std::int64_t width, std::uint8_t* picture);

}  // namespace refnorm::kernels
