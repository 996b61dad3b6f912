#pragma once

#include <optional>
#include <string>

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <refnorm/norms/norm_layer.h>
#include <refnorm/ops/channel_norm.h>

namespace refnorm {

/// Where the reference statistics of a layer come from.
enum class Reference {
  kRefreshed,  ///< the reference batch's, taken again with the current weights every `refresh_every` steps
  kFixed,      ///< the reference batch's, taken once with the initial weights (section 3 of the paper, to the
               ///< letter)
  kLive,    ///< the reference batch's in the current forward pass, gradients flowing through it (Algorithm 2,
            ///< to the letter)
  kMoving,  ///< no reference batch: the layer's own moving averages of mu_B and var_B (a control)
};

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
  /// lambda_1, in [0, 1]; nothing: 1/(m+1) with m the samples in the batch (eq. 13).
  TORCH_ARG(std::optional<double>, reference_weight) = std::nullopt;
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
///     mu'  = l2·mu_B  + l1·mu_ref,   var' = l2·var_B + l1·var_ref      l1 = 1/(m+1), l2 = 1 − l1   (eq.
///     13-16) y    = weight · (x − mu') / sqrt(var' + eps) + bias
///
/// m is the number of samples, x.size(0); mu_B, var_B (biased) are over all axes but the second. Gradients
/// flow through mu_B and var_B; the reference is a constant except in live mode. Running averages are those
/// of mu' and of var'·n/(n−1), n values a channel (var' itself where n = 1): with weight 0, PyTorch's.
///
/// State: weight, bias [C]; running_mean, running_var [C], num_batches_tracked (int64), as in PyTorch;
/// ref_mean, ref_var [C], num_ref_captures (int64), the latter three only where the reference weight is not
/// fixed to 0.
///
/// Defined outcomes of hard cases:
/// - a batch of one sample: l1 = 1/2; the variance is that of its positions;
/// - one value a channel (a dense layer and one sample): var_B = 0, the blend carries it; batch norm has
/// nothing to
///   normalize by then and throws UserError in training;
/// - an empty batch: an empty output, zero gradients, no statistic changes;
/// - a reference never captured: UserError, in training and wherever batch statistics are used;
/// - live mode in train() without reference rows: UserError (see ReferenceKeeper);
/// - a batch whose statistics are not finite: it is normalized by them, and none of it enters a stored
/// statistic.
///
/// x of float32, float64, bfloat16 or float16; statistics in float32 for the reduced ones.
class ReferenceBatchNormBase : public BatchStatisticsLayer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override;
  void learn_affine(bool on) override;
  void set_population(const torch::Tensor& mean, const torch::Tensor& var) override;
  void reset_running_stats();
  /// weight = 1, bias = 0, and reset_running_stats(); a captured reference is forgotten.
  void reset_parameters();

  /// Whether the layer blends in a reference at all (a batch norm does not).
  bool has_reference() const { return options.reference_weight() != 0.0; }
  bool reference_captured() const;

  /// While on, forward() takes the statistics of its input as the reference and normalizes by them alone;
  /// running averages stay as they are. Used by capture_reference().
  void capture(bool on) { capturing_ = on; }
  /// In live mode: the first `rows` samples of the coming inputs are the reference's. Used by
  /// ReferenceKeeper.
  void reference_rows(std::int64_t rows) { reference_rows_ = rows; }

  void pretty_print(std::ostream& stream) const override;

  /// As every module's, but the counters stay int64 (torch::nn::Module turns every buffer into the new
  /// dtype).
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  using torch::nn::Module::to;

  ReferenceBatchNormOptions options;
  torch::Tensor weight, bias;
  torch::Tensor running_mean, running_var, num_batches_tracked;
  torch::Tensor ref_mean, ref_var, num_ref_captures;

 protected:
  ReferenceBatchNormBase(const ReferenceBatchNormOptions& options, int dims, const char* type_name);
  void register_state();

 private:
  torch::Tensor forward_capture(const torch::Tensor& x);
  torch::Tensor forward_batch(const torch::Tensor& x);
  torch::Tensor forward_live(const torch::Tensor& x);
  torch::Tensor normalize_blended(const torch::Tensor& x, const ops::Moments& reference);
  torch::Tensor normalize(const torch::Tensor& x, const ops::Moments& by) const;
  ops::Moments blend(const ops::Moments& batch, const ops::Moments& reference, std::int64_t samples) const;
  void restore_counters();
  void record(const ops::Moments& batch, const ops::Moments& blended, std::int64_t values);
  void update_running(const ops::Moments& blended, std::int64_t values);
  void update_moving_reference(const ops::Moments& batch);
  void store_reference(const ops::Moments& reference);
  ops::Moments stored_reference(const ops::Moments& batch) const;
  void check_input(const torch::Tensor& x) const;

  int dims_;
  std::string type_name_;
  bool capturing_ = false;
  std::int64_t reference_rows_ = 0;
  torch::Tensor population_mean_, population_var_;
};

/// The common part of the layers of D spatial axes; `Derived` is what clone() makes.
template <int D, class Derived>
class ReferenceBatchNormImpl : public ReferenceBatchNormBase, public torch::nn::Cloneable<Derived> {
 public:
  void reset() override { this->register_state(); }
  void pretty_print(std::ostream& stream) const override { ReferenceBatchNormBase::pretty_print(stream); }

 protected:
  ReferenceBatchNormImpl(const ReferenceBatchNormOptions& given, const char* type_name)
      : ReferenceBatchNormBase(given, D, type_name) {
    this->register_state();
  }
};

ReferenceBatchNormOptions without_reference(const BatchNormOptions& options);

#define REFNORM_BATCH_NORM(D)                                                                           \
  class ReferenceBatchNorm##D##dImpl : public ReferenceBatchNormImpl<D, ReferenceBatchNorm##D##dImpl> { \
   public:                                                                                              \
    explicit ReferenceBatchNorm##D##dImpl(const ReferenceBatchNormOptions& given)                       \
        : ReferenceBatchNormImpl(given, "ReferenceBatchNorm" #D "d") {}                                 \
  };                                                                                                    \
  TORCH_MODULE(ReferenceBatchNorm##D##d);                                                               \
  class BatchNorm##D##dImpl : public ReferenceBatchNormImpl<D, BatchNorm##D##dImpl> {                   \
   public:                                                                                              \
    explicit BatchNorm##D##dImpl(const BatchNormOptions& given)                                         \
        : ReferenceBatchNormImpl(without_reference(given), "BatchNorm" #D "d") {}                       \
  };                                                                                                    \
  TORCH_MODULE(BatchNorm##D##d);

/// 1d takes [N, C] and [N, C, L]; 2d [N, C, H, W]; 3d [N, C, D, H, W].
REFNORM_BATCH_NORM(1)
REFNORM_BATCH_NORM(2)
REFNORM_BATCH_NORM(3)
#undef REFNORM_BATCH_NORM

}  // namespace refnorm
