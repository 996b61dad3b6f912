#pragma once

#include <cstdint>
#include <vector>

#include <torch/types.h>

#include <refnorm/kernels/statistic_sets.h>
#include <refnorm/ops/joint_statistics.h>

namespace refnorm::ops {

/// Which values share statistics; see kernels::Partition.
using kernels::Partition;

/// What the values of x[N, C, *] are normalized by; kernels::Blend, in tensors. A norm is a choice of these.
struct NormalizeBy {
  std::vector<Partition> sets;
  std::int64_t reference_rows = 0;          ///< the first samples are a live reference, and the last source
  torch::Tensor stored_mean, stored_var;    ///< [C]; constants, the last source where there are no such rows
  torch::Tensor mean_weights, var_weights;  ///< [sources]; may learn; undefined: 1, for a single source
  bool mixture = false;                     ///< the blended distribution's variance; weights must add up to 1
  double eps = 1e-5;                        ///< added to the variance under the root
  torch::Tensor renorm_mean, renorm_var;    ///< [C]; batch renormalization's targets; undefined: none
  double r_max = 1, d_max = 0;              ///< and its limits
  BatchSize batch;                          ///< of sets of Partition::kBatch samples; batch_size_of()
};

/// What follows the norm at once: + residual (of x's shape), then ReLU.
struct Then {
  torch::Tensor residual;
  bool relu = false;
};

/// float64, without gradient, [blocks of samples, groups of channels]; biased variance.
struct SetMoments {
  torch::Tensor mean, var;
};

struct Normalized {
  torch::Tensor y;
  std::vector<SetMoments> sources;  ///< of `sets`, in order; then of the reference rows where there are any
};

/// y = act(weight · (x − M)/sqrt(V + eps) + bias [+ residual]), M and V as `by` says; the operator
/// refnorm::normalize. weight and bias of [C], or undefined (1 and 0).
///
/// x of float32, float64, bfloat16 or float16, in any memory format, which y keeps; statistics in double, or
/// in float32 where ATen's operators do the work (other devices, float16). Differentiable, twice, in x,
/// weight, bias, residual and the blend's weights. Throws c10::Error for what does not fit together.
Normalized normalize(const torch::Tensor& x, const NormalizeBy& by, const torch::Tensor& weight,
                     const torch::Tensor& bias, const Then& then = {});

}  // namespace refnorm::ops
