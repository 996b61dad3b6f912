#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <refnorm/base/polygon.h>
#include <refnorm/base/rle.h>

namespace refnorm {

/// Where an object is in its picture: inside polygons (of an object in several parts, several), or a mask.
/// Neither where only its box is known.
struct InstanceMask {
  std::vector<Polygon> polygons;
  std::optional<Rle> rle;

  bool empty() const { return polygons.empty() && !rle; }
};

/// How a picture of `width` columns was brought before a network: resized, and perhaps mirrored then.
struct Placement {
  double scale_x = 1, scale_y = 1;
  bool mirrored = false;
  double width = 0;  ///< before it was resized

  double x(double original) const { return scale_x * (mirrored ? width - original : original); }
  double y(double original) const { return scale_y * original; }
};

/// x1, y1, x2, y2.
using Corners = std::array<double, 4>;

/// A box of the original picture, as x, y, width and height, in the placed one.
Corners placed_box(const Xywh& box, const Placement& place);

/// And back.
Xywh original_box(const Corners& box, const Placement& place);

/// The mask in a picture of that size. Requires a mask, and that the size is an RLE's own.
Rle instance_rle(const InstanceMask& mask, std::int64_t height, std::int64_t width);

/// What a mask head is to predict for a box of the placed picture: `out`, [side, side] row-major, is 1 where
/// the object is and 0 elsewhere. Polygons are moved and scaled to the box and rasterized to side x side, as
/// Detectron does it, a box being at least one pixel wide and high. Of an RLE, a cell is 1 where the object
/// covers at least half of it; beyond the picture it covers nothing. Without a mask all is 0. Throws Error
/// where `out` has another size; requires finite corners.
void crop_mask(const InstanceMask& mask, const Placement& place, const Corners& box, std::int64_t side,
               std::span<std::uint8_t> out);

}  // namespace refnorm
