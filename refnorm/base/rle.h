#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace refnorm {

/// A mask as COCO keeps it: the lengths of its runs, alternately of 0 and of 1, the first one of 0 (and
/// perhaps empty), down the first column, then the next. They add up to height · width.
struct Rle {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint32_t> counts{0};

  bool operator==(const Rle&) const = default;
};

/// x, y, width and height, as COCO has boxes.
using Xywh = std::array<double, 4>;

/// More pixels than a mask may have: lengths of runs are 32 bits.
constexpr std::int64_t kMostMaskPixels = std::int64_t{1} << 31;

/// Of a dense mask [height, width], row-major, in which all but 0 is 1. No run but the first is empty.
Rle encode_mask(std::span<const std::uint8_t> mask, std::int64_t height, std::int64_t width);

/// Puts 1 where the mask is into `out`, [height, width] row-major, and leaves the rest as it is.
void paint_mask(const Rle& mask, std::span<std::uint8_t> out);

/// [height, width] row-major of 0 and 1.
std::vector<std::uint8_t> decode_mask(const Rle& mask);

/// The number of pixels that are 1.
std::int64_t mask_area(const Rle& mask);

/// The smallest box around the pixels that are 1; all zeros where there are none.
Xywh mask_box(const Rle& mask);

enum class Merge { kUnion, kIntersection };

/// Requires equal sizes; no run of the result but the first is empty.
Rle merged(const Rle& a, const Rle& b, Merge how);

/// The mirror image, left and right changed.
Rle mirrored(const Rle& mask);

/// COCO's compressed form: each count, from the fourth on its difference to the one two before, in groups of
/// five bits, the lowest first, as characters from '0' to 'o'.
std::string rle_text(const Rle& mask);

/// The mask of such a text, or of counts. Throws UserError naming `origin` where the text has another
/// character or ends within a count, a count is negative, or they do not add up to height · width; and for
/// sizes that are negative or too large.
Rle rle_from_text(std::string_view text, std::int64_t height, std::int64_t width, const std::string& origin);
Rle rle_from_counts(std::span<const std::int64_t> counts, std::int64_t height, std::int64_t width,
                    const std::string& origin);

/// A mask made ready to be compared with many.
struct MaskRuns {
  std::int64_t height = 0, width = 0, area = 0;
  Xywh box{};
  /// Where runs of 1 begin and end, counted down the columns.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> runs;
};

MaskRuns mask_runs(const Rle& mask);

/// Pixels that are 1 in both. Requires equal sizes.
std::int64_t intersection(const MaskRuns& a, const MaskRuns& b);

// Intersection over union, as COCO has it: where the object is a crowd, over the detection's area alone,
// since a detection may be of any part of a crowd. 0 where they do not meet.

double box_iou(const Xywh& detection, const Xywh& object, bool crowd);
double mask_iou(const MaskRuns& detection, const MaskRuns& object, bool crowd);

/// Many against many: [detections, objects] row-major. `crowd` has an entry for each object.
std::vector<double> box_ious(std::span<const Xywh> detections, std::span<const Xywh> objects,
                             std::span<const std::uint8_t> crowd);
std::vector<double> mask_ious(std::span<const Rle> detections, std::span<const Rle> objects,
                              std::span<const std::uint8_t> crowd);

}  // namespace refnorm
