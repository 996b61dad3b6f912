#include "bench_case.h"

#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/norms/group_norm.h>
#include <refnorm/norms/reference_layer.h>
#include <refnorm/ops/instruction_set.h>

namespace refnorm::cli {
namespace {

using torch::Tensor;

/// Distances of ReLU's input from 0 up to which float32 might see it on the other side.
constexpr double kKink = 1e-3;

/// The plain loops, for this object's lifetime.
class UsePlainLoops {
 public:
  UsePlainLoops() { ops::use_instruction_set("plain"); }
  ~UsePlainLoops() { ops::use_instruction_set(before_); }
  UsePlainLoops(const UsePlainLoops&) = delete;
  UsePlainLoops& operator=(const UsePlainLoops&) = delete;

 private:
  std::string before_ = ops::instruction_set();
};

Tensor in_format(const NormCase& what, const Tensor& values) {
  const auto type = what.bf16 ? torch::kBFloat16 : torch::kFloat;
  if (what.dims() == 0) return values.flatten(1).to(type);
  return values.to(type).contiguous(what.channels_last ? at::MemoryFormat::ChannelsLast
                                                       : at::MemoryFormat::Contiguous);
}

Tensor as_double(const Tensor& tensor) {
  return tensor.to(torch::kDouble).contiguous();
}

/// The norm alone, in float64; sets weight and bias to the leaves that it used, or to nothing.
Tensor norm_in_double(const NormCase& what, const Tensor& x, Tensor& weight, Tensor& bias) {
  const auto layer = make_layer(what);
  if (const auto op = operator_of(what.norm)) {
    const bool affine = layer->weight.defined();
    weight = affine ? parameter_for(*op, weight, x) : Tensor();
    bias = affine ? parameter_for(*op, bias, x) : Tensor();
    return call_operator(*op, *layer, x, {weight, bias, {}, {}});
  }
  layer->to(torch::kDouble);
  prepare_layer(*layer, x);
  if (layer->weight.defined()) {
    const torch::NoGradGuard no_grad;
    layer->weight.copy_(weight);
    layer->bias.copy_(bias);
  }
  weight = layer->weight;
  bias = layer->bias;
  return layer->forward(x);
}

}  // namespace

std::string NormCase::to_string() const {
  return fmt::format("{} {} {} {} {}", norm.to_string(), shape.to_string(), bf16 ? "bf16" : "fp32",
                     channels_last ? "channels_last" : "contiguous", name_of(shape.then));
}

std::optional<Operator> operator_of(const NormSpec& norm) {
  if (norm.kind == "bn") return Operator::kBatchNorm;
  if (norm.kind == "gn") return Operator::kGroupNorm;
  if (norm.kind == "ln") return Operator::kLayerNorm;
  if (norm.kind == "in") return Operator::kInstanceNorm;
  return std::nullopt;
}

const char* name_of(Operator op) {
  static constexpr const char* kNames[] = {"batch_norm", "group_norm", "layer_norm", "instance_norm"};
  return kNames[static_cast<int>(op)];
}

std::shared_ptr<ChannelNorm> make_layer(const NormCase& what) {
  auto layer = std::dynamic_pointer_cast<ChannelNorm>(make_norm(what.norm, what.shape.c, what.dims()));
  if (layer != nullptr) layer->train();
  return layer;
}

void prepare_layer(ChannelNorm& layer, const Tensor& x) {
  auto* of_reference = dynamic_cast<ReferenceLayer*>(&layer);
  if (of_reference == nullptr || !of_reference->has_reference()) return;
  if (of_reference->policy() == Reference::kLive) return of_reference->reference_rows(x.size(0) / 2);
  const torch::NoGradGuard no_grad;
  of_reference->capture(true);
  layer.forward(x.detach());
  of_reference->capture(false);
}

NormInputs make_inputs(const NormCase& what) {
  const NormShape& shape = what.shape;
  auto generator = at::detail::createCPUGenerator(1);
  const auto normal = [&] { return torch::randn({shape.n, shape.c, shape.h, shape.w}, generator); };
  const auto uniform = [&](at::IntArrayRef sizes, double low, double high) {
    return torch::rand(sizes, generator) * (high - low) + low;
  };
  NormInputs inputs;
  const Tensor deviations = uniform({1, shape.c, 1, 1}, 0.5, 2);
  const Tensor means = uniform({1, shape.c, 1, 1}, -2, 2);
  inputs.x = in_format(what, normal().mul_(deviations).add_(means)).requires_grad_();
  if (what.add()) inputs.residual = in_format(what, normal()).requires_grad_();
  inputs.dy = in_format(what, normal());
  inputs.weight = uniform({shape.c}, 0.5, 1.5);
  inputs.bias = uniform({shape.c}, -0.5, 0.5);
  return inputs;
}

NormResults reference_results(const NormCase& what, NormInputs& inputs) {
  const UsePlainLoops plain;
  NormInputs doubles;
  doubles.x = as_double(inputs.x.detach()).requires_grad_();
  doubles.weight = as_double(inputs.weight);
  doubles.bias = as_double(inputs.bias);
  const Tensor normalized = norm_in_double(what, doubles.x, doubles.weight, doubles.bias);

  NormResults results;
  results.y = normalized.detach();
  if (what.add()) results.y = results.y + as_double(inputs.residual.detach());
  Tensor upstream = as_double(inputs.dy);
  if (what.relu()) {
    const Tensor kink = results.y.abs() <= kKink;
    upstream.masked_fill_(kink, 0);
    inputs.dy.masked_fill_(kink, 0);
    upstream = upstream * (results.y > 0);
    results.y = results.y.relu();
  }
  if (what.add()) results.dresidual = upstream;
  std::vector<Tensor> leaves{doubles.x};
  const bool learns = doubles.weight.defined() && doubles.weight.requires_grad();
  if (learns) leaves.insert(leaves.end(), {doubles.weight, doubles.bias});
  const auto gradients = torch::autograd::grad({normalized}, leaves, {upstream});
  results.dx = gradients[0];
  if (learns) {
    results.dweight = per_channel(gradients[1], what.shape.c);
    results.dbias = per_channel(gradients[2], what.shape.c);
  }
  return results;
}

Tensor per_channel(const Tensor& gradient, std::int64_t channels) {
  return gradient.dim() == 1 ? gradient : gradient.reshape({channels, -1}).sum(1);
}

Tensor call_operator(Operator op, const ChannelNorm& layer, const Tensor& x, const OperatorState& state) {
  const auto& [weight, bias, running_mean, running_var] = state;
  switch (op) {
    case Operator::kGroupNorm: {
      const auto& of_groups = dynamic_cast<const GroupNormImpl&>(layer);
      return torch::group_norm(x, of_groups.options.num_groups(), weight, bias, layer.eps(), false);
    }
    case Operator::kLayerNorm:
      return torch::layer_norm(x, x.sizes().slice(1), weight, bias, layer.eps(), false);
    case Operator::kInstanceNorm:
      return torch::instance_norm(x, weight, bias, {}, {}, true, 0.1, layer.eps(), false);
    case Operator::kBatchNorm:
      break;
  }
  return torch::batch_norm(x, weight, bias, running_mean, running_var, true, 0.1, layer.eps(), false);
}

Tensor parameter_for(Operator op, const Tensor& parameter, const Tensor& x) {
  Tensor own = parameter.detach();
  if (op == Operator::kLayerNorm) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.dim() - 1), 1);
    sizes[0] = x.size(1);
    own = own.view(sizes).expand(x.sizes().slice(1));
  }
  return own.clone(at::MemoryFormat::Contiguous).requires_grad_();
}

}  // namespace refnorm::cli
