#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/base/polygon.h>
#include <refnorm/base/run_writer.h>

namespace refnorm {
namespace {

// COCO's tools walk along each edge in fifths of pixels, point by point, and look where the walk goes from
// fifth 5k + 2 to 5k + 3 or back: there it crosses the middle of column k. Here only these places are
// computed, by the same arithmetic, whose roundings decide on which pixel the crossing lies.
constexpr std::int64_t kScale = 5, kBefore = 2, kBehind = 3;

/// Far beyond any picture, and small enough that nothing below overflows.
constexpr double kFarthest = 0x1p40;

struct Point {
  std::int64_t x = 0, y = 0;
};

std::int64_t truncated(double value) {
  return static_cast<std::int64_t>(value);
}

std::int64_t in_fifths(double value) {
  return truncated(std::clamp(static_cast<double>(kScale) * value + 0.5, -kFarthest, kFarthest));
}

/// Where edges cross the middles of columns: places at which what is inside changes, down the columns.
class Crossings {
 public:
  Crossings(std::int64_t height, std::int64_t width) : height_(height), width_(width) {}

  void add_edge(Point a, Point b) {
    const std::int64_t dx = std::abs(a.x - b.x);
    const std::int64_t dy = std::abs(a.y - b.y);
    if (dx == 0) return;
    const bool flat = dx >= dy;
    if (flat ? a.x > b.x : a.y > b.y) std::swap(a, b);
    const std::int64_t low = std::min(a.x, b.x);
    const std::int64_t high = std::max(a.x, b.x);
    if (high < kBehind) return;
    const std::int64_t first = low <= kBefore ? 0 : (low - kBefore + kScale - 1) / kScale;
    const std::int64_t last = std::min(width_ - 1, (high - kBehind) / kScale);
    const double slope = flat ? static_cast<double>(b.y - a.y) / static_cast<double>(dx)
                              : static_cast<double>(b.x - a.x) / static_cast<double>(dy);
    for (std::int64_t column = first; column <= last; ++column)
      add(column, flat ? flat_row(a, slope, column) : steep_row(a, slope, dy, column));
  }

  Rle to_mask() {
    std::sort(places_.begin(), places_.end());
    RunWriter writer;
    bool inside = false;
    std::uint32_t done = 0;
    for (const std::uint32_t place : places_) {
      writer.add(inside, place - done);
      inside = !inside;
      done = place;
    }
    writer.add(inside, static_cast<std::uint32_t>(height_ * width_) - done);
    return {height_, width_, writer.take()};
  }

 private:
  /// Each step is a fifth to the right.
  static std::int64_t flat_row(Point a, double slope, std::int64_t column) {
    const auto row = [&](std::int64_t x) {
      return truncated(static_cast<double>(a.y) + slope * static_cast<double>(x - a.x) + 0.5);
    };
    return std::min(row(kScale * column + kBefore), row(kScale * column + kBehind));
  }

  /// Each step is a fifth down; of the two that the middle lies between, the upper one counts.
  static std::int64_t steep_row(Point a, double slope, std::int64_t dy, std::int64_t column) {
    const auto behind = static_cast<double>(kScale * column + kBehind);
    const auto crossed = [&](std::int64_t step) {
      const double x = static_cast<double>(a.x) + slope * static_cast<double>(step) + 0.5;
      return slope > 0 ? x >= behind : x < behind;
    };
    std::int64_t step =
        std::clamp(truncated((behind - 0.5 - static_cast<double>(a.x)) / slope), std::int64_t{1}, dy);
    while (step > 1 && crossed(step - 1)) --step;
    while (step < dy && !crossed(step)) ++step;
    return a.y + step - 1;
  }

  void add(std::int64_t column, std::int64_t row_in_fifths) {
    constexpr auto kPixel = static_cast<double>(kScale);
    const double row = std::clamp((static_cast<double>(row_in_fifths) + 0.5) / kPixel - 0.5, 0.0,
                                  static_cast<double>(height_));
    places_.push_back(static_cast<std::uint32_t>(column * height_ + truncated(std::ceil(row))));
  }

  std::int64_t height_, width_;
  std::vector<std::uint32_t> places_;
};

}  // namespace

Rle rasterize(std::span<const double> polygon, std::int64_t height, std::int64_t width) {
  if (height < 0 || width < 0 || (width > 0 && height > kMostMaskPixels / width))
    fail("a mask cannot have {} x {} pixels", height, width);
  Crossings crossings(height, width);
  const std::size_t corners = polygon.size() / 2;
  const auto corner = [&](std::size_t i) {
    return Point{in_fifths(polygon[2 * i]), in_fifths(polygon[2 * i + 1])};
  };
  for (std::size_t i = 0; i < corners; ++i) crossings.add_edge(corner(i), corner((i + 1) % corners));
  return crossings.to_mask();
}

Rle rasterize(std::span<const Polygon> polygons, std::int64_t height, std::int64_t width) {
  Rle all = rasterize(std::span<const double>{}, height, width);
  for (const Polygon& polygon : polygons) all = merged(all, rasterize(polygon, height, width), Merge::kUnion);
  return all;
}

}  // namespace refnorm
