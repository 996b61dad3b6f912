#pragma once

#include <refnorm/norms/channel_norm.h>

namespace refnorm {

struct InstanceNormOptions {
  InstanceNormOptions(std::int64_t num_features) : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, affine) = false;
};

/// Instance normalization (Ulyanov et al. 2016) of x[N, C, *]: mean and biased variance of each sample's each
/// channel, over its positions; the same in training and evaluation. A single position would normalize to 0
/// whatever it is: UserError.
class InstanceNormBase : public ChannelNorm {
 public:
  using Options = InstanceNormOptions;
  InstanceNormBase(const InstanceNormOptions& given, int dims)
      : ChannelNorm({"InstanceNorm", dims, given.num_features(), given.eps(), given.affine()}) {}

 protected:
  torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) override;
};

REFNORM_NORM_MODULES(InstanceNorm);

}  // namespace refnorm
