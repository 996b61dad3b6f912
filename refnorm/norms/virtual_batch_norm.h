#pragma once

#include <refnorm/norms/channel_norm.h>
#include <refnorm/norms/reference_layer.h>

namespace refnorm {

struct VirtualBatchNormOptions {
  VirtualBatchNormOptions(std::int64_t num_features)
      : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, affine) = true;
};

/// Virtual batch normalization (Salimans et al. 2016, with its code's blend) of x[N, C, *]: each sample is
/// normalized by its own statistics (per channel, over its positions) blended, through mean and mean square,
/// with those of a live reference batch of R samples:
///
///     mean = w·mu_i + (1 − w)·mu_ref,   w = 1/(R + 1),
///     var  = w·(var_i + mu_i^2) + (1 − w)·(var_ref + mu_ref^2) − mean^2
///
/// The reference goes through the network in front of each training batch (see ReferenceKeeper), is
/// normalized by its own statistics alone, and receives gradients. Samples do not depend on each other. In
/// evaluation the statistics of the last reference that passed are used, which capture_reference() takes
/// again with the current weights; without any: UserError.
///
/// State: weight, bias, ref_mean, ref_var [C], num_ref_captures, num_ref_samples (int64).
class VirtualBatchNormBase : public ChannelNorm, public ReferenceLayer {
 public:
  using Options = VirtualBatchNormOptions;
  VirtualBatchNormBase(const VirtualBatchNormOptions& given, int dims)
      : ChannelNorm({"VirtualBatchNorm", dims, given.num_features(), given.eps(), given.affine()}) {}

  Reference policy() const override { return Reference::kLive; }
  bool evaluates_by_reference() const override { return true; }
  void reset_parameters() override;

  torch::Tensor num_ref_samples;

 protected:
  void register_state() override;
  torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) override;

 private:
  torch::Tensor compute_reference(const torch::Tensor& x, const ops::Then& then);
  void keep_reference(const ops::SetMoments& moments, std::int64_t samples);
};

REFNORM_NORM_MODULES(VirtualBatchNorm);

}  // namespace refnorm
