#pragma once

#include <cstdint>
#include <vector>

#include <refnorm/kernels/bfloat16.h>

namespace refnorm::kernels {

/// Pictures' features [pictures, height, width, channels] (channels_last).
struct FeatureMap {
  std::int64_t pictures = 0, height = 0, width = 0, channels = 0;
};

/// RoIAlign (He et al. 2017): a region is cut into height x width bins, each of which averages bilinear
/// samples.
struct RoiGrid {
  std::int64_t height = 14, width = 14;
  double scale = 1;                 ///< from a region's coordinates to the features': 1/16
  std::int64_t sampling_ratio = 0;  ///< samples along each side of a bin; 0: as many as a bin has features
  /// Coordinates are of pixels' corners, so that sample 0 lies at 0.5. If not, as in the first version of
  /// RoIAlign: of their centres, and a region has at least the size of one feature.
  bool aligned = true;

  std::int64_t bins() const { return height * width; }
};

/// What one axis of a region reads: of bin p the features first[p] … first[p] + count[p] − 1, weighted by
/// weights[offset[p]] and so on, which are the bilinear weights of all of its samples, averaged. RoIAlign is
/// such a weighted sum along y, and one along x.
template <class T>
struct RoiAxis {
  std::vector<std::int64_t> first, count, offset;
  std::vector<T> weights;

  std::int64_t bins() const { return static_cast<std::int64_t>(first.size()); }
  /// The features that any bin reads: [begin(), end()).
  std::int64_t begin() const;
  std::int64_t end() const;
  /// The same the other way round: what each feature of [begin(), end()) gives to which bins.
  RoiAxis transposed() const;
};

/// The axis of a region from `low` to `high`, cut into `bins`, over `features`. Samples that lie more than
/// one feature outside count as 0; others outside are moved to the border. In T, operation by operation as
/// others do, since the number of samples is a rounded one. Requires finite numbers; any are fine.
template <class T>
void lay_out(RoiAxis<T>& axis, T low, T high, std::int64_t bins, std::int64_t features, const RoiGrid& grid);

/// y[region][bin row][bin column][channel] of rois[regions, 5] (picture, x1, y1, x2, y2), sample by sample as
/// the definition has it. A region that is not finite gives NaN. Requires pictures that are there.
void roi_align_plain(const double* x, const FeatureMap& map, const double* rois, std::int64_t regions,
                     const RoiGrid& grid, double* y);

/// Adds its gradient to dx; nothing where a region is not finite.
void roi_align_backward_plain(const double* dy, const FeatureMap& map, const double* rois,
                              std::int64_t regions, const RoiGrid& grid, double* dx);

/// How a region's values lie in memory: [row][column][channel], or [channel][row][column].
enum class RoiLayout { kChannelsLast, kPlanes };

/// The same for regions [begin, end), with the machine's vectors. Instantiated for float and double, and for
/// float with bfloat16 outputs.
template <class T, class Value>
void roi_align(const T* x, const FeatureMap& map, const T* rois, std::int64_t begin, std::int64_t end,
               const RoiGrid& grid, RoiLayout layout, Value* y);

/// Adds the gradient to channels [first, last) of dx, of the picture `picture` and all of its regions, in
/// their order: parts of other channels and pictures may run beside it.
template <class T, class Value>
void roi_align_backward(const Value* dy, const FeatureMap& map, const T* rois, std::int64_t regions,
                        const RoiGrid& grid, RoiLayout layout, std::int64_t picture, std::int64_t first,
                        std::int64_t last, T* dx);

}  // namespace refnorm::kernels
