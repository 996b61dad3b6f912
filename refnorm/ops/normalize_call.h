#pragma once

#include <functional>
#include <tuple>

#include <torch/types.h>

#include <refnorm/kernels/statistic_sets.h>

namespace refnorm::ops {

using torch::Tensor;
using OptionalTensor = c10::optional<Tensor>;

/// The settings of the operators below, beside the tensors that have gradients.
struct NormalizeSettings {
  bool relu = false;
  std::vector<std::int64_t> sets;  ///< samples, channels of each partition, flat
  std::int64_t reference_rows = 0;
  OptionalTensor stored_mean, stored_var;
  bool mixture = false;
  double eps = 0;
  OptionalTensor renorm_mean, renorm_var;
  double r_max = 1, d_max = 0;
  std::int64_t joint_values = 0;  ///< see kernels::Blend
  bool keep_gate = false;         ///< backward will follow, and may want to know what ReLU let through
};

/// The tensors that may have gradients.
struct NormalizeInputs {
  Tensor x;
  OptionalTensor weight, bias, residual;
  Tensor mean_weights, var_weights;
};

/// y, the mean and biased variance of all sets, [sets] each, and the gate (see kernels/normalize.h; [0] where
/// there is none).
using NormalizeOutputs = std::tuple<Tensor, Tensor, Tensor, Tensor>;

/// Gradients of x, weight, bias, residual, mean_weights, var_weights.
using NormalizeGradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

/// [N, C, S] of x.
kernels::Shape shape_of(const Tensor& x);

/// Sets of all computed sources together. Throws c10::Error where partitions do not nest, channels do not
/// divide, or the numbers of weights and sources differ.
std::int64_t count_sets(const NormalizeInputs& inputs, const NormalizeSettings& settings);

/// The blend that the settings describe; the numbers it points to live in `numbers`.
struct BlendNumbers {
  Tensor stored_mean, stored_var, renorm_mean, renorm_var;
};
kernels::Blend blend_of(const NormalizeInputs& inputs, const NormalizeSettings& settings,
                        BlendNumbers& numbers);

/// Through the kernels: dense float32, float64 and bfloat16 on the CPU.
bool has_kernels(const Tensor& x);
NormalizeOutputs normalize_by_kernels(const NormalizeInputs& inputs, const NormalizeSettings& settings);
/// y once more, to the bit, from the mean and variance that normalize_by_kernels() gave.
Tensor normalize_again_by_kernels(const NormalizeInputs& inputs, const NormalizeSettings& settings,
                                  const Tensor& mean, const Tensor& var);
/// What backward keeps of forward: the statistics and, where a residual was added before a ReLU, the gate or,
/// where there is none, y. The residual itself is not read.
struct Kept {
  Tensor mean, var;
  bool has_residual = false;
  OptionalTensor gate, y;
};
NormalizeGradients normalize_backward_by_kernels(const Tensor& dy, const NormalizeInputs& inputs,
                                                 const NormalizeSettings& settings, const Kept& kept);
/// Ones and zeros like x, from a gate's bits.
Tensor open_gate(const Tensor& gate, const Tensor& x);

/// Where the operator made `y` by its kernels, from `residual` where it had one, and for a backward pass to
/// come: what computes it again, as long as that pass has not been there. Else empty.
std::function<Tensor()> recomputation(const Tensor& y, const Tensor& residual);

/// Composed of ATen's operators, on any device, differentiable as often as they are.
NormalizeOutputs normalize_composed(const NormalizeInputs& inputs, const NormalizeSettings& settings);
/// Its gradients, by autograd; `create_graph` makes them differentiable in turn.
NormalizeGradients normalize_backward_composed(const Tensor& dy, const NormalizeInputs& inputs,
                                               const NormalizeSettings& settings, bool create_graph);

}  // namespace refnorm::ops
