#pragma once

#include <refnorm/norms/channel_norm.h>

namespace refnorm {

struct FrozenBatchNormOptions {
  FrozenBatchNormOptions(std::int64_t num_features) : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
};

/// Batch norm whose statistics and affine parameters are fixed, in training too: what detection puts into a
/// backbone trained elsewhere. weight, bias, running_mean and running_var are buffers [C], under
/// torchvision's names; made anew it is x/sqrt(1 + eps).
class FrozenBatchNormBase : public ChannelNorm {
 public:
  using Options = FrozenBatchNormOptions;
  FrozenBatchNormBase(const FrozenBatchNormOptions& given, int dims)
      : ChannelNorm({"FrozenBatchNorm", dims, given.num_features(), given.eps(), /*affine=*/false}) {}
  void reset_parameters() override;

  torch::Tensor running_mean, running_var;

 protected:
  void register_state() override;
  torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) override;
};

REFNORM_NORM_MODULES(FrozenBatchNorm);

}  // namespace refnorm
