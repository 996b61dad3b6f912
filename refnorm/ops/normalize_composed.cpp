#include <torch/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/joint_statistics.h>
#include <refnorm/ops/normalize_call.h>

namespace refnorm::ops {
namespace {

struct Moments {
  Tensor mean, var;  ///< [blocks, groups]
};

/// Over the second, fourth and fifth axis of values[blocks, samples, groups, channels, positions].
Moments moments_of(const Tensor& values) {
  const std::vector<std::int64_t> axes{1, 3, 4};
  const Tensor mean = values.mean(axes, /*keepdim=*/true);
  const Tensor var = (values - mean).square().mean(axes);
  return {mean.flatten(1), var};
}

/// Each set's moments of x[n, C, S] under a partition.
Moments set_moments(const Tensor& x, std::int64_t samples, std::int64_t channels) {
  const std::int64_t groups = x.size(1) / channels;
  const std::int64_t blocks = std::max<std::int64_t>(1, x.size(0) / samples);
  const std::int64_t rest = x.size(0) - (blocks - 1) * samples;  // the last block takes what is left
  const auto moments = [&](const Tensor& rows, std::int64_t count) {
    return moments_of(rows.reshape({count, rows.size(0) / count, groups, channels, x.size(2)}));
  };
  const Moments last = moments(x.narrow(0, x.size(0) - rest, rest), 1);
  if (blocks == 1) return last;
  const Moments first = moments(x.narrow(0, 0, x.size(0) - rest), blocks - 1);
  return {torch::cat({first.mean, last.mean}), torch::cat({first.var, last.var})};
}

/// The sum over all processes, forward and backward: each of them has its part of the loss that the sum
/// enters.
class SumOverProcesses : public torch::autograd::Function<SumOverProcesses> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& own) {
    context->saved_data["processes"] = c10::IValue::make_capsule(joint_statistics());
    Tensor sum = own.clone();
    joint_statistics()->sum(sum);
    return sum;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const SynchronizeStatistics synchronize(
        c10::static_intrusive_pointer_cast<JointStatistics>(context->saved_data.at("processes").toCapsule()));
    return {SumOverProcesses::apply(grads[0].contiguous())};
  }
};

/// Those of all processes, of this one's from `own` values each; all together they are `joint`.
Moments joint_moments(const Moments& moments, double own, double joint) {
  const Tensor mean = SumOverProcesses::apply((moments.mean * (own / joint)).contiguous());
  const Tensor within = moments.var + (moments.mean - mean).square();
  return {mean, SumOverProcesses::apply((within * (own / joint)).contiguous())};
}

/// [blocks, groups] -> [samples, C]: each (sample, channel)'s own.
Tensor spread(const Tensor& of_sets, std::int64_t samples, std::int64_t per_block, std::int64_t channels) {
  const Tensor block = torch::arange(samples, torch::dtype(torch::kLong).device(of_sets.device()))
                           .div(per_block, "floor")
                           .clamp_max(of_sets.size(0) - 1);
  return of_sets.index_select(0, block)
      .unsqueeze(2)
      .expand({samples, of_sets.size(1), channels / of_sets.size(1)})
      .reshape({samples, channels});
}

struct Blended {
  Tensor mean, var;  ///< [N, C]
  std::vector<Tensor> set_means, set_vars;
};

Blended blend(const Tensor& x, const NormalizeInputs& inputs, const NormalizeSettings& settings) {
  const std::int64_t rows = settings.reference_rows;
  const std::int64_t own = x.size(0) - rows;
  const std::int64_t channels = x.size(1);
  const Tensor batch = x.narrow(0, rows, own);
  Blended out;
  std::vector<Tensor> means;
  std::vector<Tensor> vars;
  const auto add_source = [&](const Tensor& mean, const Tensor& var) {
    means.push_back(mean);
    vars.push_back(var);
  };
  for (std::size_t i = 0; i + 1 < settings.sets.size(); i += 2) {
    Moments moments = set_moments(batch, settings.sets[i], settings.sets[i + 1]);
    if (settings.joint_values > 0 && settings.sets[i] == kernels::Partition::kBatch) {
      const auto channels_of_set = static_cast<double>(settings.sets[i + 1]);
      moments = joint_moments(moments, static_cast<double>(own * x.size(2)) * channels_of_set,
                              static_cast<double>(settings.joint_values) * channels_of_set);
    }
    out.set_means.push_back(moments.mean.flatten());
    out.set_vars.push_back(moments.var.flatten());
    add_source(spread(moments.mean, own, settings.sets[i], channels),
               spread(moments.var, own, settings.sets[i], channels));
  }
  Moments reference;
  if (rows > 0) {
    reference = set_moments(x.narrow(0, 0, rows), rows, 1);
    out.set_means.push_back(reference.mean.flatten());
    out.set_vars.push_back(reference.var.flatten());
    add_source(reference.mean.expand({own, channels}), reference.var.expand({own, channels}));
  } else if (settings.stored_mean) {
    add_source(settings.stored_mean->detach().to(x.options()).expand({own, channels}),
               settings.stored_var->detach().to(x.options()).expand({own, channels}));
  }
  const auto weighted = [&](const Tensor& weights, const std::vector<Tensor>& values) {
    return (torch::stack(values) * weights.to(x.options()).view({-1, 1, 1})).sum(0);
  };
  out.mean = weighted(inputs.mean_weights, means);
  out.var = weighted(inputs.var_weights, vars);
  if (settings.mixture) {
    std::vector<Tensor> between;
    for (const Tensor& mean : means) between.push_back((mean - out.mean).square());
    out.var = out.var + weighted(inputs.mean_weights, between);
  }
  if (rows > 0) {
    out.mean = torch::cat({reference.mean.expand({rows, channels}), out.mean});
    out.var = torch::cat({reference.var.expand({rows, channels}), out.var});
  }
  return out;
}

}  // namespace

NormalizeOutputs normalize_composed(const NormalizeInputs& inputs, const NormalizeSettings& settings) {
  const kernels::Shape shape = shape_of(inputs.x);
  const bool wide = inputs.x.scalar_type() == torch::kDouble;
  const Tensor x = inputs.x.to(wide ? torch::kDouble : torch::kFloat)
                       .reshape({shape.samples, shape.channels, shape.positions});
  const Blended by = blend(x, inputs, settings);
  const Tensor deviation = (by.var + settings.eps).sqrt();
  Tensor y = (x - by.mean.unsqueeze(2)) / deviation.unsqueeze(2);
  if (settings.renorm_mean) {
    const Tensor target = (settings.renorm_var->to(x.options()) + settings.eps).sqrt();
    const Tensor r = (deviation.detach() / target).clamp(1 / settings.r_max, settings.r_max);
    const Tensor d = ((by.mean.detach() - settings.renorm_mean->to(x.options())) / target)
                         .clamp(-settings.d_max, settings.d_max);
    y = y * r.unsqueeze(2) + d.unsqueeze(2);
  }
  if (inputs.weight) y = y * inputs.weight->to(x.options()).unsqueeze(1);
  if (inputs.bias) y = y + inputs.bias->to(x.options()).unsqueeze(1);
  y = y.view(inputs.x.sizes());
  if (inputs.residual) y = y + inputs.residual->to(x.scalar_type());
  if (settings.relu) y = torch::relu(y);
  y = y.to(inputs.x.scalar_type()).contiguous(inputs.x.suggest_memory_format());
  const auto joined = [&](const std::vector<Tensor>& parts) {
    return parts.empty() ? torch::zeros({0}, x.options().dtype(torch::kDouble))
                         : torch::cat(parts).detach().to(torch::kDouble);
  };
  return {y, joined(by.set_means), joined(by.set_vars), torch::empty({0}, x.options().dtype(torch::kByte))};
}

NormalizeGradients normalize_backward_composed(const Tensor& dy, const NormalizeInputs& inputs,
                                               const NormalizeSettings& settings, bool create_graph) {
  const torch::AutoGradMode with_grad(true);
  NormalizeInputs again = inputs;
  std::vector<Tensor> wanted;
  std::vector<std::size_t> places;
  const auto want = [&](Tensor& input, std::size_t place) {
    if (!input.defined()) return;
    // Without a graph the inputs are leaves of their own; with one they must be those of the caller.
    if (!create_graph) input = input.detach().requires_grad_(true);
    if (!input.requires_grad()) return;
    wanted.push_back(input);
    places.push_back(place);
  };
  want(again.x, 0);
  std::size_t place = 1;
  for (OptionalTensor* input : {&again.weight, &again.bias, &again.residual}) {
    if (*input) want(**input, place);
    ++place;
  }
  want(again.mean_weights, 4);
  want(again.var_weights, 5);
  const Tensor y = std::get<0>(normalize_composed(again, settings));
  const auto found = torch::autograd::grad({y}, wanted, {dy}, /*retain_graph=*/create_graph, create_graph,
                                           /*allow_unused=*/true);
  std::array<Tensor, 6> out;
  for (std::size_t i = 0; i < found.size(); ++i) out[places[i]] = found[i];
  return {out[0], out[1], out[2], out[3], out[4], out[5]};
}

}  // namespace refnorm::ops
