#pragma once

#include <refnorm/norms/batch_statistics.h>

namespace refnorm {

struct GhostBatchNormOptions {
  GhostBatchNormOptions(std::int64_t num_features) : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(std::optional<double>, momentum) = 0.1;
  TORCH_ARG(bool, affine) = true;
  /// Samples of a virtual batch.
  TORCH_ARG(std::int64_t, virtual_batch_size) = 32;
};

/// Ghost batch normalization (Hoffer et al. 2017) of x[N, C, *]: batch norm over virtual batches of
/// `virtual_batch_size` consecutive samples, each by its own statistics; the last one takes the samples that
/// are left over (a smaller batch is one virtual batch). The running averages take the mean over the virtual
/// batches of their means and unbiased variances, once a batch. One value a channel of a virtual batch, in
/// training: UserError.
class GhostBatchNormBase : public BatchStatisticsLayer {
 public:
  using Options = GhostBatchNormOptions;
  GhostBatchNormBase(const GhostBatchNormOptions& given, int dims);
  GhostBatchNormOptions options;

 protected:
  torch::Tensor compute_by_batch(const torch::Tensor& x, const ops::Then& then) override;
  std::string more_options() const override;
};

REFNORM_NORM_MODULES(GhostBatchNorm);

}  // namespace refnorm
