#pragma once

#include <refnorm/norms/batch_statistics.h>
#include <refnorm/norms/reference_layer.h>

namespace refnorm {

/// How eq. 16 blends variances.
enum class VarianceBlend {
  kLinear,   ///< var' = l2·var_B + l1·var_ref, as printed
  kMixture,  ///< plus l1·l2·(mu_B − mu_ref)^2: the variance of the blended distribution
};

struct ReferenceBatchNormOptions {
  ReferenceBatchNormOptions(std::int64_t num_features)
      : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  /// Added to var' under the root.
  TORCH_ARG(double, eps) = 1e-5;
  /// Weight of the newest batch in the running averages, as in PyTorch; nothing: the plain average over all
  /// batches.
  TORCH_ARG(std::optional<double>, momentum) = 0.1;
  TORCH_ARG(bool, affine) = true;
  TORCH_ARG(Reference, reference) = Reference::kRefreshed;
  /// Steps between two captures of a refreshed reference.
  TORCH_ARG(std::int64_t, refresh_every) = 10;
  /// lambda_1, in [0, 1]; nothing: the paper's 1/(m+1) with m the samples in the batch (eq. 13), which fades
  /// where batches are large. The default is what did best (docs/findings.md).
  TORCH_ARG(std::optional<double>, reference_weight) = 0.3;
  TORCH_ARG(VarianceBlend, variance) = VarianceBlend::kLinear;
  /// Weight of the newest batch in a moving reference (a plain average until there are as many batches).
  TORCH_ARG(double, reference_momentum) = 0.01;
};

struct BatchNormOptions {
  BatchNormOptions(std::int64_t num_features) : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(std::optional<double>, momentum) = 0.1;
  TORCH_ARG(bool, affine) = true;
};

/// Reference batch normalization (Algorithm 2) of x[N, C, *], and, with reference weight 0, batch
/// normalization (Algorithm 1):
///
///     mu'  = l2·mu_B  + l1·mu_ref,   var' = l2·var_B + l1·var_ref,   l2 = 1 − l1   (eq. 14-16)
///     y    = weight · (x − mu') / sqrt(var' + eps) + bias
///
/// l1 is the reference weight; the paper's is 1/(m+1), m the number of samples, x.size(0) (eq. 13). mu_B,
/// var_B (biased) are over all axes but the second. Gradients flow through mu_B and var_B; the reference is a
/// constant except in live mode. Running averages are those of mu' and of var'·n/(n−1), n values a channel
/// (var' itself where n = 1): with weight 0, PyTorch's.
///
/// State: weight, bias [C]; running_mean, running_var [C], num_batches_tracked (int64), as in PyTorch;
/// ref_mean, ref_var [C], num_ref_captures (int64), the latter three only where the reference weight is not
/// fixed to 0.
///
/// Defined outcomes of hard cases:
/// - a batch of one sample: the variance is that of its positions;
/// - one value a channel (a dense layer and one sample): var_B = 0, the blend carries it; batch norm has
/// nothing to
///   normalize by then and throws UserError in training;
/// - an empty batch: an empty output, zero gradients, no statistic changes;
/// - a reference never captured: UserError, in training and wherever batch statistics are used;
/// - live mode in train() without reference rows: UserError (see ReferenceKeeper);
/// - a batch whose statistics are not finite: it is normalized by them, and none of it enters a stored
/// statistic.
///
/// x of float32, float64, bfloat16 or float16; statistics in double on the CPU.
class ReferenceBatchNormBase : public BatchStatisticsLayer, public ReferenceLayer {
 public:
  using Options = ReferenceBatchNormOptions;
  ReferenceBatchNormBase(const ReferenceBatchNormOptions& given, int dims)
      : ReferenceBatchNormBase(given, dims, "ReferenceBatchNorm") {}

  Reference policy() const override { return options.reference(); }
  bool has_reference() const override { return options.reference_weight() != 0.0; }
  std::int64_t refresh_every() const override { return options.refresh_every(); }
  bool reference_idle() const override { return frozen(); }
  /// weight = 1, bias = 0, running statistics anew; a captured reference is forgotten.
  void reset_parameters() override;

  ReferenceBatchNormOptions options;

 protected:
  ReferenceBatchNormBase(const ReferenceBatchNormOptions& given, int dims, const char* name);
  void register_state() override;
  torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) override;
  torch::Tensor compute_by_batch(const torch::Tensor& x, const ops::Then& then) override;
  std::string more_options() const override;

 private:
  torch::Tensor compute_capture(const torch::Tensor& x, const ops::Then& then);
  torch::Tensor compute_live(const torch::Tensor& x, const ops::Then& then);
  torch::Tensor compute_blended(const torch::Tensor& x, const ops::Then& then);
  double set_weights(ops::NormalizeBy& by) const;
  void record_blend(const ops::SetMoments& batch, const ops::SetMoments& reference, double l1,
                    std::int64_t values);
  void update_moving_reference(const ops::SetMoments& batch);
};

/// Batch normalization (Algorithm 1; Ioffe & Szegedy 2015): the above with reference weight 0.
class BatchNormBase : public ReferenceBatchNormBase {
 public:
  using Options = BatchNormOptions;
  BatchNormBase(const BatchNormOptions& given, int dims);
};

REFNORM_NORM_MODULES(ReferenceBatchNorm);
REFNORM_NORM_MODULES(BatchNorm);

}  // namespace refnorm
