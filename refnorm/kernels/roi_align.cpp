#include <algorithm>
#include <cmath>
#include <limits>

#include <refnorm/kernels/roi_align.h>

namespace refnorm::kernels {
namespace {

/// The two features that a sample lies between, and the share of the second; weightless far outside.
template <class T>
struct Sample {
  Sample(T position, std::int64_t features) {
    const auto extent = static_cast<T>(features);
    if (!(position >= -1 && position <= extent) || features == 0) return;
    inside = true;
    const T moved = std::max(position, T{0});
    low = static_cast<std::int64_t>(moved);
    if (low >= features - 1) {
      low = high = features - 1;
      return;
    }
    high = low + 1;
    share = moved - static_cast<T>(low);
  }
  bool inside = false;
  std::int64_t low = 0, high = 0;
  T share = 0;
};

/// A region's side in features.
template <class T>
struct Side {
  Side(T from, T to, std::int64_t bins, const RoiGrid& grid) {
    const auto scale = static_cast<T>(grid.scale);
    const T offset = grid.aligned ? T{0.5} : T{0};
    start = from * scale - offset;
    T size = to * scale - offset - start;
    if (!grid.aligned) size = std::max(size, T{1});
    bin = size / static_cast<T>(bins);
    samples = grid.sampling_ratio > 0 ? static_cast<T>(grid.sampling_ratio)
                                      : std::ceil(size / static_cast<T>(bins));
  }
  T position(std::int64_t p, T sample) const {
    return start + static_cast<T>(p) * bin + (sample + T{0.5}) * bin / samples;
  }
  T start, bin, samples;  ///< samples: of a bin
};

/// The samples [first, last) of a bin that can lie inside, so that a region of any size ends in finite time.
struct Range {
  template <class T>
  Range(const Side<T>& side, std::int64_t p, std::int64_t features) {
    if (side.samples < 1) return;
    const double samples = std::min<double>(side.samples, kMost);
    double from = 0;
    double to = samples;
    if (side.bin > 0) {
      const double step = static_cast<double>(side.bin) / side.samples;
      const double start = side.start + static_cast<double>(p) * side.bin;
      from = std::clamp(std::floor((-1 - start) / step) - 2, 0.0, samples);
      to = std::clamp(std::ceil((static_cast<double>(features) - start) / step) + 2, from, samples);
    }
    first = static_cast<std::int64_t>(from);
    last = static_cast<std::int64_t>(to);
  }
  static constexpr double kMost = 0x1.0p52;
  std::int64_t first = 0, last = 0;
};

template <class T>
bool finite_region(const T* roi) {
  return std::all_of(roi + 1, roi + 5, [](T value) { return std::isfinite(value); });
}

/// visit(sample) for all samples of bin p that lie inside.
template <class T, class Visit>
void for_each_sample(const Side<T>& side, std::int64_t p, std::int64_t features, const Visit& visit) {
  const Range range(side, p, features);
  for (std::int64_t i = range.first; i < range.last; ++i) {
    const Sample<T> sample(side.position(p, static_cast<T>(i)), features);
    if (sample.inside) visit(sample);
  }
}

/// visit(feature of picture, bin, weight) for all four of each sample of a region.
template <class Visit>
void for_each_tap(const FeatureMap& map, const double* roi, const RoiGrid& grid, const Visit& visit) {
  const Side<double> rows(roi[2], roi[4], grid.height, grid);
  const Side<double> columns(roi[1], roi[3], grid.width, grid);
  const double count = std::max(rows.samples * columns.samples, 1.0);
  for (std::int64_t p = 0; p < grid.height; ++p) {
    for (std::int64_t q = 0; q < grid.width; ++q) {
      for_each_sample(rows, p, map.height, [&](const Sample<double>& y) {
        for_each_sample(columns, q, map.width, [&](const Sample<double>& x) {
          const auto tap = [&](std::int64_t row, std::int64_t column, double weight) {
            visit(row * map.width + column, p * grid.width + q, weight / count);
          };
          tap(y.low, x.low, (1 - y.share) * (1 - x.share));
          tap(y.low, x.high, (1 - y.share) * x.share);
          tap(y.high, x.low, y.share * (1 - x.share));
          tap(y.high, x.high, y.share * x.share);
        });
      });
    }
  }
}

}  // namespace

template <class T>
std::int64_t RoiAxis<T>::begin() const {
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t p = 0; p < bins(); ++p) {
    if (count[p] > 0) lowest = std::min(lowest, first[p]);
  }
  return lowest == std::numeric_limits<std::int64_t>::max() ? 0 : lowest;
}

template <class T>
std::int64_t RoiAxis<T>::end() const {
  std::int64_t highest = 0;
  for (std::int64_t p = 0; p < bins(); ++p) {
    if (count[p] > 0) highest = std::max(highest, first[p] + count[p]);
  }
  return highest;
}

template <class T>
RoiAxis<T> RoiAxis<T>::transposed() const {
  const std::int64_t low = begin();
  const std::int64_t features = std::max<std::int64_t>(end() - low, 0);
  RoiAxis other;
  other.first.assign(features, 0);
  other.count.assign(features, 0);
  other.offset.assign(features, 0);
  for (std::int64_t feature = 0; feature < features; ++feature) {
    other.offset[feature] = static_cast<std::int64_t>(other.weights.size());
    const auto reads = [&](std::int64_t p) {
      return low + feature >= first[p] && low + feature < first[p] + count[p];
    };
    std::int64_t from = 0;
    while (from < bins() && !reads(from)) ++from;
    std::int64_t to = bins();
    while (to > from && !reads(to - 1)) --to;
    other.first[feature] = from;
    other.count[feature] = to - from;
    for (std::int64_t p = from; p < to; ++p)
      other.weights.push_back(reads(p) ? weights[offset[p] + low + feature - first[p]] : T{0});
  }
  return other;
}

template <class T>
void lay_out(RoiAxis<T>& axis, T low, T high, std::int64_t bins, std::int64_t features, const RoiGrid& grid) {
  axis.first.assign(bins, 0);
  axis.count.assign(bins, 0);
  axis.offset.assign(bins, 0);
  axis.weights.clear();
  const Side<T> side(low, high, bins, grid);
  for (std::int64_t p = 0; p < bins; ++p) {
    axis.offset[p] = static_cast<std::int64_t>(axis.weights.size());
    std::int64_t from = features;
    std::int64_t to = 0;
    for_each_sample(side, p, features, [&](const Sample<T>& sample) {
      from = std::min(from, sample.low);
      to = std::max(to, sample.high + 1);
    });
    if (to <= from) continue;
    axis.first[p] = from;
    axis.count[p] = to - from;
    axis.weights.resize(axis.weights.size() + (to - from), T{0});
    T* weights = axis.weights.data() + axis.offset[p];
    for_each_sample(side, p, features, [&](const Sample<T>& sample) {
      weights[sample.low - from] += (1 - sample.share) / side.samples;
      weights[sample.high - from] += sample.share / side.samples;
    });
  }
}

void roi_align_plain(const double* x, const FeatureMap& map, const double* rois, std::int64_t regions,
                     const RoiGrid& grid, double* y) {
  for (std::int64_t n = 0; n < regions; ++n, rois += 5, y += grid.bins() * map.channels) {
    const bool finite = finite_region(rois);
    std::fill_n(y, grid.bins() * map.channels, finite ? 0 : std::numeric_limits<double>::quiet_NaN());
    if (!finite) continue;
    const double* picture = x + static_cast<std::int64_t>(rois[0]) * map.height * map.width * map.channels;
    for_each_tap(map, rois, grid, [&](std::int64_t feature, std::int64_t bin, double weight) {
      for (std::int64_t k = 0; k < map.channels; ++k)
        y[bin * map.channels + k] += weight * picture[feature * map.channels + k];
    });
  }
}

void roi_align_backward_plain(const double* dy, const FeatureMap& map, const double* rois,
                              std::int64_t regions, const RoiGrid& grid, double* dx) {
  for (std::int64_t n = 0; n < regions; ++n, rois += 5, dy += grid.bins() * map.channels) {
    if (!finite_region(rois)) continue;
    double* picture = dx + static_cast<std::int64_t>(rois[0]) * map.height * map.width * map.channels;
    for_each_tap(map, rois, grid, [&](std::int64_t feature, std::int64_t bin, double weight) {
      for (std::int64_t k = 0; k < map.channels; ++k)
        picture[feature * map.channels + k] += weight * dy[bin * map.channels + k];
    });
  }
}

template struct RoiAxis<float>;
template struct RoiAxis<double>;
template void lay_out(RoiAxis<float>&, float, float, std::int64_t, std::int64_t, const RoiGrid&);
template void lay_out(RoiAxis<double>&, double, double, std::int64_t, std::int64_t, const RoiGrid&);

}  // namespace refnorm::kernels
