#pragma once

#include <refnorm/norms/batch_statistics.h>

namespace refnorm {

struct BatchRenormOptions {
  BatchRenormOptions(std::int64_t num_features) : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  /// Weight of the newest batch in the running averages (the source's alpha).
  TORCH_ARG(std::optional<double>, momentum) = 0.01;
  TORCH_ARG(bool, affine) = true;
  /// The limits of r and d in the end. Up to step `warmup` they are 1 and 0 (batch norm); from there they
  /// grow in a straight line and arrive at steps `r_max_steps` and `d_max_steps`. Defaults: the source's,
  /// section 4.
  TORCH_ARG(double, r_max) = 3;
  TORCH_ARG(double, d_max) = 5;
  TORCH_ARG(std::int64_t, warmup) = 5000;
  TORCH_ARG(std::int64_t, r_max_steps) = 40000;
  TORCH_ARG(std::int64_t, d_max_steps) = 25000;
};

/// Batch renormalization (Ioffe 2017) of x[N, C, *]:
///
///     y = weight · ((x − mu_B)/sqrt(var_B + eps) · r + d) + bias
///     r = sqrt((var_B + eps)/(running_var + eps)) within [1/r_max, r_max]
///     d = (mu_B − running_mean)/sqrt(running_var + eps) within [−d_max, d_max]
///
/// r and d are constants to the gradient. Within its limits, training normalizes as evaluation does. The
/// running averages are of mu_B and of the biased var_B (the source averages the deviation; so they are
/// exchangeable with batch norm's). A step is a batch that entered them. One value a channel in training:
/// UserError.
class BatchRenormBase : public BatchStatisticsLayer {
 public:
  using Options = BatchRenormOptions;
  BatchRenormBase(const BatchRenormOptions& given, int dims);

  /// The limits after so many steps.
  struct Limits {
    double r_max, d_max;
  };
  Limits limits(std::int64_t steps) const;

  BatchRenormOptions options;

 protected:
  torch::Tensor compute_by_batch(const torch::Tensor& x, const ops::Then& then) override;
  std::string more_options() const override;
};

REFNORM_NORM_MODULES(BatchRenorm);

}  // namespace refnorm
