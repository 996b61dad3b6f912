#pragma once

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

/// From the statistics of sets to the coefficients of cells, and back with gradients. All in double, on as
/// many numbers as there are cells; knows nothing of memory layouts and instruction sets.
class Blender {
 public:
  Blender(const Shape& shape, const Blend& blend, const StatisticSets& sets, const AffineParameters& affine,
          const SetStatistics& statistics)
      : shape_(shape), blend_(blend), sets_(sets), affine_(affine), statistics_(statistics) {}

  /// centre, scale and shift of each cell of the region, arrays of [cells]. The centre is M as V holds it;
  /// what rounding it took away is put into the shift.
  template <class V>
  void forward_coefficients(const Region& region, V* centre, V* scale, V* shift) const;

  /// What the cells' sums over their values (of g, and of g·(x − centre) with the centre above) say of the
  /// gradients of the sets' means and variances, which are written for the region's sets.
  template <class V>
  void set_gradients(const Region& region, const double* g, const double* gx, double* mean_grad,
                     double* var_grad) const;

  /// dx = g_scale·g + x_scale·(x − centre) + shift.
  template <class V>
  void backward_coefficients(const Region& region, const double* mean_grad, const double* var_grad,
                             V* g_scale, V* x_scale, V* shift) const;

  /// Gradients of weight[C], bias[C] and of the blend's weights (those three may be null), over all cells in
  /// order.
  template <class V>
  void parameter_gradients(const double* g, const double* gx, double* weight, double* bias,
                           double* mean_weights, double* var_weights) const;

 private:
  /// What a cell is normalized by.
  struct Cell {
    double mean, var, inverse_deviation;
    double r = 1, d = 0;
    double scale;  ///< weight · r / deviation
  };
  /// The gradients of a cell's M and V.
  struct CellGradient {
    double mean, var;
  };
  Cell cell(std::int64_t block, std::int64_t channel) const;
  bool of_reference(std::int64_t block) const { return block == 0 && sets_.has_reference_block(); }
  double weight(std::int64_t channel) const {
    return affine_.weight.empty() ? 1 : affine_.weight[static_cast<std::size_t>(channel)];
  }
  double bias(std::int64_t channel) const {
    return affine_.bias.empty() ? 0 : affine_.bias[static_cast<std::size_t>(channel)];
  }
  /// Source k's mean and variance at a cell: a set's or the stored.
  struct Moments {
    double mean, var;
  };
  Moments source(std::size_t k, std::int64_t block, std::int64_t channel) const;
  std::size_t source_count() const { return blend_.mean_weights.size(); }
  template <class V>
  CellGradient cell_gradient(const Cell& at, double g, double gx) const;

  const Shape& shape_;
  const Blend& blend_;
  const StatisticSets& sets_;
  const AffineParameters affine_;
  const SetStatistics statistics_;
};

}  // namespace refnorm::kernels
