#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include <refnorm/kernels/roi_align.h>
#include <refnorm/kernels/weighted_rows.h>

namespace refnorm::kernels {
namespace {

/// Channels at a time: a row of a region's features, [columns, channels], then stays in the second cache.
constexpr std::int64_t kChannels = 256;

template <class T>
bool finite_region(const T* roi) {
  return std::all_of(roi + 1, roi + 5, [](T value) { return std::isfinite(value); });
}

void put_value(float value, float& to) {
  to = value;
}
void put_value(double value, double& to) {
  to = value;
}
void put_value(float value, Bfloat16& to) {
  to = to_bfloat16(value);
}
void put_value(Bfloat16 value, float& to) {
  to = to_float(value);
}

/// Both axes of a region, and room for one row of it.
template <class T>
struct Region {
  Region(const FeatureMap& feature_map, const RoiGrid& roi_grid) : map(feature_map), grid(roi_grid) {}
  void enter(const T* roi) {
    picture = static_cast<std::int64_t>(roi[0]);
    lay_out(rows, roi[2], roi[4], grid.height, map.height, grid);
    lay_out(columns, roi[1], roi[3], grid.width, map.width, grid);
    left = columns.begin();
    width = std::max<std::int64_t>(columns.end() - left, 0);
    row.resize(width * kChannels);
    bins.resize(grid.width * kChannels);
  }
  /// Where a feature begins in the map.
  std::int64_t at(std::int64_t feature_row, std::int64_t column) const {
    return ((picture * map.height + feature_row) * map.width + column) * map.channels;
  }

  FeatureMap map;
  RoiGrid grid;
  RoiAxis<T> rows, columns, gives;
  std::int64_t picture = 0, left = 0, width = 0;
  std::vector<T> row;   ///< [columns left … left + width, channels]
  std::vector<T> bins;  ///< a row of bins: [width, channels]
};

/// From a row of bins, [width, channels], to where channel `first` of bin row p of a region lies.
template <class T, class Value>
void put(const Region<T>& region, std::int64_t p, std::int64_t first, std::int64_t count, RoiLayout layout,
         Value* y) {
  const auto& [height, width] = std::pair(region.grid.height, region.grid.width);
  if (layout == RoiLayout::kChannelsLast) {
    for (std::int64_t q = 0; q < width; ++q)
      convert_values(region.bins.data() + q * count, y + (p * width + q) * region.map.channels + first,
                     count);
    return;
  }
  for (std::int64_t k = 0; k < count; ++k) {
    Value* plane = y + ((first + k) * height + p) * width;
    for (std::int64_t q = 0; q < width; ++q) put_value(region.bins[q * count + k], plane[q]);
  }
}

template <class T, class Value>
void take(Region<T>& region, std::int64_t p, std::int64_t first, std::int64_t count, RoiLayout layout,
          const Value* dy) {
  const auto& [height, width] = std::pair(region.grid.height, region.grid.width);
  if (layout == RoiLayout::kChannelsLast) {
    for (std::int64_t q = 0; q < width; ++q)
      convert_values(dy + (p * width + q) * region.map.channels + first, region.bins.data() + q * count,
                     count);
    return;
  }
  for (std::int64_t k = 0; k < count; ++k) {
    const Value* plane = dy + ((first + k) * height + p) * width;
    for (std::int64_t q = 0; q < width; ++q) put_value(plane[q], region.bins[q * count + k]);
  }
}

template <class T>
void average_rows(Region<T>& region, const T* x, std::int64_t p, std::int64_t first, std::int64_t count) {
  const T* weights = region.rows.weights.data() + region.rows.offset[p];
  const T* from = x + region.at(region.rows.first[p], region.left) + first;
  for (std::int64_t c = 0; c < region.width; ++c) {
    weighted_rows(from + c * region.map.channels, region.map.width * region.map.channels, weights,
                  region.rows.count[p], region.row.data() + c * count, count);
  }
}

template <class T>
void average_columns(Region<T>& region, std::int64_t count) {
  for (std::int64_t q = 0; q < region.grid.width; ++q) {
    weighted_rows(region.row.data() + (region.columns.first[q] - region.left) * count, count,
                  region.columns.weights.data() + region.columns.offset[q], region.columns.count[q],
                  region.bins.data() + q * count, count);
  }
}

/// The transposed of average_columns, then of average_rows.
template <class T>
void spread(Region<T>& region, std::int64_t p, std::int64_t first, std::int64_t count, T* dx) {
  for (std::int64_t c = 0; c < region.width; ++c) {
    weighted_rows(region.bins.data() + region.gives.first[c] * count, count,
                  region.gives.weights.data() + region.gives.offset[c], region.gives.count[c],
                  region.row.data() + c * count, count);
  }
  for (std::int64_t r = 0; r < region.rows.count[p]; ++r) {
    const T weight = region.rows.weights[region.rows.offset[p] + r];
    T* to = dx + region.at(region.rows.first[p] + r, region.left) + first;
    for (std::int64_t c = 0; c < region.width; ++c)
      add_weighted(weight, region.row.data() + c * count, to + c * region.map.channels, count);
  }
}

}  // namespace

template <class T, class Value>
void roi_align(const T* x, const FeatureMap& map, const T* rois, std::int64_t begin, std::int64_t end,
               const RoiGrid& grid, RoiLayout layout, Value* y) {
  Region<T> region(map, grid);
  const std::int64_t values = grid.bins() * map.channels;
  for (std::int64_t n = begin; n < end; ++n) {
    const T* roi = rois + 5 * n;
    if (!finite_region(roi)) {
      const T nan = std::numeric_limits<T>::quiet_NaN();
      for (std::int64_t i = 0; i < values; ++i) put_value(nan, y[n * values + i]);
      continue;
    }
    region.enter(roi);
    for (std::int64_t first = 0; first < map.channels; first += kChannels) {
      const std::int64_t count = std::min(kChannels, map.channels - first);
      for (std::int64_t p = 0; p < grid.height; ++p) {
        average_rows(region, x, p, first, count);
        average_columns(region, count);
        put(region, p, first, count, layout, y + n * values);
      }
    }
  }
}

template <class T, class Value>
void roi_align_backward(const Value* dy, const FeatureMap& map, const T* rois, std::int64_t regions,
                        const RoiGrid& grid, RoiLayout layout, std::int64_t picture, std::int64_t first,
                        std::int64_t last, T* dx) {
  Region<T> region(map, grid);
  const std::int64_t values = grid.bins() * map.channels;
  for (std::int64_t n = 0; n < regions; ++n) {
    const T* roi = rois + 5 * n;
    if (static_cast<std::int64_t>(roi[0]) != picture || !finite_region(roi)) continue;
    region.enter(roi);
    region.gives = region.columns.transposed();
    for (std::int64_t begin = first; begin < last; begin += kChannels) {
      const std::int64_t count = std::min(kChannels, last - begin);
      for (std::int64_t p = 0; p < grid.height; ++p) {
        if (region.rows.count[p] == 0) continue;
        take(region, p, begin, count, layout, dy + n * values);
        spread(region, p, begin, count, dx);
      }
    }
  }
}

// NOLINTBEGIN(bugprone-macro-parentheses): a type takes none
#define REFNORM_INSTANTIATE(T, VALUE)                                                                        \
  template void roi_align(const T*, const FeatureMap&, const T*, std::int64_t, std::int64_t, const RoiGrid&, \
                          RoiLayout, VALUE*);                                                                \
  template void roi_align_backward(const VALUE*, const FeatureMap&, const T*, std::int64_t, const RoiGrid&,  \
                                   RoiLayout, std::int64_t, std::int64_t, std::int64_t, T*)
// NOLINTEND(bugprone-macro-parentheses)
REFNORM_INSTANTIATE(float, float);
REFNORM_INSTANTIATE(float, Bfloat16);
REFNORM_INSTANTIATE(double, double);
#undef REFNORM_INSTANTIATE

}  // namespace refnorm::kernels
