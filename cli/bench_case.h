#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <torch/types.h>

#include <refnorm/norms/channel_norm.h>
#include <refnorm/norms/norm_spec.h>

#include "bench_shapes.h"

namespace refnorm::cli {

/// One thing to measure: a norm of one shape, with what follows it.
struct NormCase {
  NormSpec norm;
  NormShape shape;
  bool bf16 = false;
  bool channels_last = false;

  Then then() const { return shape.then; }
  bool relu() const { return shape.then != Then::kNone; }
  bool add() const { return shape.then == Then::kAddRelu; }
  /// H = W = 1 are dense layers, whose input has no such axes.
  int dims() const { return shape.h * shape.w == 1 ? 0 : 2; }
  std::int64_t bytes() const { return shape.values() * (bf16 ? 2 : 4); }
  std::string to_string() const;
};

/// The operator of LibTorch that does the same as a norm.
enum class Operator { kBatchNorm, kGroupNorm, kLayerNorm, kInstanceNorm };
/// Nothing where there is none; batch norm is then what times are compared with.
std::optional<Operator> operator_of(const NormSpec& norm);
const char* name_of(Operator op);

/// The norm's layer in train(), with weight 1 and bias 0; nothing where the norm leaves such a shape out.
std::shared_ptr<ChannelNorm> make_layer(const NormCase& what);

/// Takes what the norm needs from an earlier pass: reference statistics, of x itself. In live modes the first
/// half of x becomes the reference.
void prepare_layer(ChannelNorm& layer, const torch::Tensor& x);

/// The values that every contender gets. weight and bias are of float32.
struct NormInputs {
  torch::Tensor x, residual, dy, weight, bias;
};

/// What every contender gives; undefined: not given. weight and bias of [C].
struct NormResults {
  torch::Tensor y, dx, dresidual, dweight, dbias;
};

/// Values of other means and deviations in every channel; the same ones each time.
NormInputs make_inputs(const NormCase& what);

/// The results in float64: by LibTorch's own operator, or by the layer with plain loops where LibTorch has
/// none. Sets dy to 0 where ReLU's kink is too near for a gradient to be compared.
NormResults reference_results(const NormCase& what, NormInputs& inputs);

/// The gradients of weight and bias in [C], where an operator has them in the shape of a sample.
torch::Tensor per_channel(const torch::Tensor& gradient, std::int64_t channels);

/// What LibTorch's operators take beside x; batch norm updates the last two, where they are given.
struct OperatorState {
  torch::Tensor weight, bias, running_mean, running_var;
};
/// LibTorch's operator of x[N, C, *]. `layer` has its options.
torch::Tensor call_operator(Operator op, const ChannelNorm& layer, const torch::Tensor& x,
                            const OperatorState& state);
/// `parameter` as that operator takes it, a leaf.
torch::Tensor parameter_for(Operator op, const torch::Tensor& parameter, const torch::Tensor& x);

}  // namespace refnorm::cli
