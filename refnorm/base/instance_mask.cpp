#include <algorithm>
#include <cmath>

#include <refnorm/base/error.h>
#include <refnorm/base/instance_mask.h>

namespace refnorm {
namespace {

/// A narrower box would blow its polygons up without bound.
constexpr double kLeastSide = 1;

/// One axis of the box in pixels of the original picture, divided into cells.
struct Axis {
  double begin = 0, cell = 0;

  double place(std::int64_t i) const { return begin + cell * static_cast<double>(i); }
  /// The cell that a pixel's edge lies in, within 0 … side.
  std::int64_t at(double pixel, std::int64_t side) const {
    return static_cast<std::int64_t>(
        std::clamp(std::floor((pixel - begin) / cell), 0.0, static_cast<double>(side)));
  }
};

void crop_polygons(const std::vector<Polygon>& polygons, const Placement& place, const Corners& box,
                   std::int64_t side, std::span<std::uint8_t> out) {
  const auto cells = static_cast<double>(side);
  const double width = std::max(box[2] - box[0], kLeastSide);
  const double height = std::max(box[3] - box[1], kLeastSide);
  Polygon moved;
  for (const Polygon& polygon : polygons) {
    moved.clear();
    for (std::size_t i = 0; i + 1 < polygon.size(); i += 2) {
      moved.push_back((place.x(polygon[i]) - box[0]) * cells / width);
      moved.push_back((place.y(polygon[i + 1]) - box[1]) * cells / height);
    }
    paint_mask(rasterize(moved, side, side), out);
  }
}

/// How much of each cell's height is covered, summed over columns of pixels.
class Coverage {
 public:
  Coverage(const Axis& columns, const Axis& rows, std::int64_t side)
      : columns_(columns), rows_(rows), side_(side), area_(static_cast<std::size_t>(side * side)) {}

  /// A piece of a column of pixels.
  void add(std::int64_t x, std::int64_t from, std::int64_t to) {
    const auto left = static_cast<double>(x);
    const auto top = static_cast<double>(from);
    const auto bottom = static_cast<double>(to);
    for (std::int64_t j = columns_.at(left, side_); j < side_ && columns_.place(j) < left + 1; ++j) {
      const double wide = std::min(columns_.place(j + 1), left + 1) - std::max(columns_.place(j), left);
      if (wide <= 0) continue;
      for (std::int64_t i = rows_.at(top, side_); i < side_ && rows_.place(i) < bottom; ++i) {
        const double high = std::min(rows_.place(i + 1), bottom) - std::max(rows_.place(i), top);
        if (high > 0) area_[static_cast<std::size_t>(i * side_ + j)] += wide * high;
      }
    }
  }

  void write(bool mirrored, std::span<std::uint8_t> out) const {
    constexpr double kRounding = 1e-9;  // of a cell: a half that is one but for rounding counts
    const double half = columns_.cell * rows_.cell * (0.5 - kRounding);
    for (std::int64_t i = 0; i < side_; ++i) {
      for (std::int64_t j = 0; j < side_; ++j) {
        const std::int64_t from = i * side_ + (mirrored ? side_ - 1 - j : j);
        out[static_cast<std::size_t>(i * side_ + j)] = area_[static_cast<std::size_t>(from)] >= half ? 1 : 0;
      }
    }
  }

 private:
  Axis columns_, rows_;
  std::int64_t side_;
  std::vector<double> area_;
};

void crop_rle(const Rle& mask, const Placement& place, const Corners& box, std::int64_t side,
              std::span<std::uint8_t> out) {
  const auto cells = static_cast<double>(side);
  const double width = std::max(box[2] - box[0], kLeastSide) / place.scale_x;
  const double height = std::max(box[3] - box[1], kLeastSide) / place.scale_y;
  const double left = box[0] / place.scale_x;
  const Axis columns{place.mirrored ? place.width - left - width : left, width / cells};
  const Axis rows{box[1] / place.scale_y, height / cells};
  Coverage coverage(columns, rows, side);
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < mask.counts.size(); begin += mask.counts[i++]) {
    const std::int64_t end = begin + mask.counts[i];
    if (i % 2 == 0 || end == begin) continue;
    for (std::int64_t x = begin / mask.height; x * mask.height < end; ++x) {
      const std::int64_t top = x * mask.height;
      coverage.add(x, std::max(begin - top, std::int64_t{0}), std::min(end - top, mask.height));
    }
  }
  coverage.write(place.mirrored, out);
}

}  // namespace

Corners placed_box(const Xywh& box, const Placement& place) {
  const double a = place.x(box[0]);
  const double b = place.x(box[0] + box[2]);
  return {std::min(a, b), place.y(box[1]), std::max(a, b), place.y(box[1] + box[3])};
}

Xywh original_box(const Corners& box, const Placement& place) {
  const double a = box[0] / place.scale_x;
  const double b = box[2] / place.scale_x;
  const double y = box[1] / place.scale_y;
  return {place.mirrored ? place.width - b : a, y, b - a, box[3] / place.scale_y - y};
}

Rle instance_rle(const InstanceMask& mask, std::int64_t height, std::int64_t width) {
  if (!mask.rle) return rasterize(mask.polygons, height, width);
  if (mask.rle->height != height || mask.rle->width != width) {
    fail("a mask of {} x {} pixels is not of a picture of {} x {}", mask.rle->height, mask.rle->width, height,
         width);
  }
  return *mask.rle;
}

void crop_mask(const InstanceMask& mask, const Placement& place, const Corners& box, std::int64_t side,
               std::span<std::uint8_t> out) {
  if (side < 0 || static_cast<std::int64_t>(out.size()) != side * side)
    fail("{} values cannot hold a mask of {} x {}", out.size(), side, side);
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  if (mask.rle) {
    crop_rle(*mask.rle, place, box, side, out);
  } else {
    crop_polygons(mask.polygons, place, box, side, out);
  }
}

}  // namespace refnorm
