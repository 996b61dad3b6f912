#pragma once

#include <refnorm/norms/batch_statistics.h>

namespace refnorm {

struct SwitchableNormOptions {
  SwitchableNormOptions(std::int64_t num_features) : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(std::optional<double>, momentum) = 0.1;
  TORCH_ARG(bool, affine) = true;
  /// Whether instance statistics are in the mix. On dense layers, where they would erase the input, they
  /// should not be.
  TORCH_ARG(bool, instance) = true;
};

/// Switchable normalization (Luo et al. 2018) of x[N, C, *]:
///
///     mean = sum_k softmax(mean_weight)_k · mu_k,  var = sum_k softmax(var_weight)_k · var_k,  k = in, ln,
///     bn
///
/// with the (biased) statistics of instance, layer and batch norm; evaluation takes stored statistics for
/// batch norm's. Weights are learned; they start equal.
///
/// State: weight, bias [C], mean_weight, var_weight [3] (in, ln, bn; [2] without in), running_mean,
/// running_var [C], num_batches_tracked. Running averages are of mu_B and var_B·n/(n−1), as batch norm's.
class SwitchableNormBase : public BatchStatisticsLayer {
 public:
  using Options = SwitchableNormOptions;
  SwitchableNormBase(const SwitchableNormOptions& given, int dims)
      : BatchStatisticsLayer({"SwitchableNorm", dims, given.num_features(), given.eps(), given.affine()},
                             given.momentum()),
        options(given) {}
  void reset_parameters() override;

  SwitchableNormOptions options;
  torch::Tensor mean_weight, var_weight;

 protected:
  void register_state() override;
  torch::Tensor compute_by_batch(const torch::Tensor& x, const ops::Then& then) override;
  torch::Tensor compute_by_stored(const torch::Tensor& x, const torch::Tensor& mean, const torch::Tensor& var,
                                  const ops::Then& then) override;
  std::string more_options() const override { return options.instance() ? "" : ", instance=false"; }

 private:
  ops::NormalizeBy sample_sources() const;
};

REFNORM_NORM_MODULES(SwitchableNorm);

}  // namespace refnorm
