#pragma once

#include <memory>

#include <refnorm/kernels/statistic_sets.h>
#include <refnorm/kernels/sweeps.h>

namespace refnorm::kernels {

/// weight[C] and bias[C]; empty: 1 and 0.
struct AffineParameters {
  std::span<const double> weight, bias;
};

/// Sets' statistics; arrays of StatisticSets::sets() numbers.
struct SetStatistics {
  const double* mean;
  const double* var;
};

/// Uninitialized memory for numbers.
template <class V>
class Array {
 public:
  explicit Array(std::int64_t size)
      : values_(std::make_unique_for_overwrite<V[]>(static_cast<std::size_t>(size))) {}
  V* get() const { return values_.get(); }
  V& operator[](std::int64_t i) const { return values_[static_cast<std::size_t>(i)]; }

 private:
  std::unique_ptr<V[]> values_;
};

/// From the statistics of sets to the coefficients of cells, and back with gradients. All in double, on as
/// many numbers as there are cells; knows nothing of memory layouts and instruction sets. Different regions
/// may be worked on at the same time.
class Blender {
 public:
  Blender(const Shape& shape, const Blend& blend, const StatisticSets& sets, const AffineParameters& affine,
          const SetStatistics& statistics);

  /// centre, scale and shift of each cell of the region, arrays of [cells]. The centre is M as V holds it;
  /// what rounding it took away is put into the shift. Comes before the functions below.
  template <class V>
  void forward_coefficients(const Region& region, V* centre, V* scale, V* shift) const;

  /// What the cells' sums over their values (of g, and of g·(x − centre) with the centre above) say of the
  /// gradients of the sets' means and variances, which are written for the region's sets. From here on, `gx`
  /// is about M itself.
  template <class V>
  void set_gradients(const Region& region, const double* g, double* gx, double* mean_grad,
                     double* var_grad) const;

  /// dx = g_scale·g + x_scale·(x − centre) + shift.
  template <class V>
  void backward_coefficients(const Region& region, const double* mean_grad, const double* var_grad,
                             V* g_scale, V* x_scale, V* shift) const;

  /// Gradients of weight[C], bias[C] and of the blend's weights (those two may be null), over all cells in
  /// order; after set_gradients().
  void parameter_gradients(const double* g, const double* gx, double* weight, double* bias,
                           double* mean_weights, double* var_weights) const;

 private:
  bool of_reference(std::int64_t block) const { return block == 0 && sets_.has_reference_block(); }
  bool renormalizes() const { return !blend_.renormalization.mean.empty(); }
  double weight(std::int64_t channel) const {
    return affine_.weight.empty() ? 1 : affine_.weight[static_cast<std::size_t>(channel)];
  }
  double bias(std::int64_t channel) const {
    return affine_.bias.empty() ? 0 : affine_.bias[static_cast<std::size_t>(channel)];
  }
  /// body(a_k, b_k, mean, var, channel_begin, channel_end) for each source's each run of channels with the
  /// same statistics, in a block.
  template <class Body>
  void for_each_source(std::int64_t block, std::int64_t begin, std::int64_t end, const Body& body) const;
  void blend_cells(std::int64_t block, std::int64_t begin, std::int64_t end) const;
  void renormalize_cells(std::int64_t block, std::int64_t begin, std::int64_t end) const;
  double mean_gradient(std::int64_t cell, double g) const { return -scale_[cell] * g; }
  double var_gradient(std::int64_t cell, double gx) const {
    return -0.5 * scale_[cell] * inverse_deviation_[cell] * inverse_deviation_[cell] * gx;
  }

  const Shape& shape_;
  const Blend& blend_;
  const StatisticSets& sets_;
  const AffineParameters affine_;
  const SetStatistics statistics_;
  // What each cell is normalized by: M, 1/sqrt(V + eps), weight · r / sqrt(V + eps), and r and d where there
  // is a renormalization.
  Array<double> mean_, inverse_deviation_, scale_, r_, d_;
};

}  // namespace refnorm::kernels
