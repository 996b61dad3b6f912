#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <refnorm/base/rle.h>

namespace refnorm {

/// x, y, x, y, …: the corners of a polygon, whose last one is joined with the first.
using Polygon = std::vector<double>;

/// The pixels of a picture inside a polygon, to the pixel those that COCO's own tools find: corners are
/// rounded to fifths of pixels, edges walked in steps of such, and a column's pixels change where the walk
/// crosses its middle. Corners may lie outside of the picture. Requires finite numbers.
Rle rasterize(std::span<const double> polygon, std::int64_t height, std::int64_t width);

/// The union of several.
Rle rasterize(std::span<const Polygon> polygons, std::int64_t height, std::int64_t width);

}  // namespace refnorm
