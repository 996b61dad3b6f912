#include <array>
#include <vector>

#include <torch/torch.h>

#include <refnorm/ops/affine.h>
#include <refnorm/ops/channel_norm.h>

namespace refnorm::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::vector<std::int64_t> all_but_channels(std::int64_t dims) {
  std::vector<std::int64_t> axes{0};
  for (std::int64_t axis = 2; axis < dims; ++axis) axes.push_back(axis);
  return axes;
}

bool reduced_precision(const Tensor& x) {
  return x.scalar_type() == torch::kBFloat16 || x.scalar_type() == torch::kHalf;
}

class ChannelMoments : public torch::autograd::Function<ChannelMoments> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x) {
    Tensor mean;
    Tensor var;
    if (x.is_cpu()) {
      // The first half of ATen's batch norm: vectorized two-pass sums, for both memory formats.
      std::tie(mean, var) = at::batch_norm_update_stats(x, {}, {}, 0.0);
    } else {
      std::tie(var, mean) = at::var_mean(x, all_but_channels(x.dim()), /*unbiased=*/false);
    }
    context->save_for_backward({x, mean});
    return {mean, var};
  }

  // d mean / d x = 1/n,  d var / d x = 2/n · (x − mean)
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const Tensor& x = saved[0];
    const std::int64_t dims = x.dim();
    const double per_value = static_cast<double>(x.size(1)) / static_cast<double>(x.numel());
    const Tensor shift = grads[0].defined() ? grads[0] * per_value : torch::zeros_like(saved[1]);
    const Tensor scale = grads[1].defined() ? grads[1] * (2 * per_value) : torch::zeros_like(saved[1]);
    if (!torch::GradMode::is_enabled()) return {affine_channels(x, saved[1], scale, shift)};
    // A second derivative is wanted: differentiable pieces.
    const Tensor mean = x.mean(all_but_channels(dims));
    const Tensor grad =
        (x - along_channels(mean, dims)) * along_channels(scale, dims) + along_channels(shift, dims);
    return {grad};
  }
};

class ChannelNormalize : public torch::autograd::Function<ChannelNormalize> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& mean, const Tensor& var,
                        const Tensor& weight, const Tensor& bias, double eps) {
    context->save_for_backward({x, mean, var, weight});
    context->saved_data["eps"] = eps;
    const Tensor scale = (var + eps).rsqrt_().mul_(weight);
    return affine_channels(x, mean, scale, bias);
  }

  // With s = 1/sqrt(var + eps), g = dL/dy:  dL/dx = w s g,  dL/dw = s sum g (x − mean),  dL/db = sum g,
  // dL/dmean = − w s dL/db,  dL/dvar = − w s^2 / 2 · dL/dw
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const auto& [x, mean, var, weight] = std::tie(saved[0], saved[1], saved[2], saved[3]);
    const double eps = context->saved_data["eps"].toDouble();
    const Tensor s = (var + eps).rsqrt();
    const Tensor scale = weight * s;
    Tensor grad_x;
    Tensor grad_weight;
    Tensor grad_bias;
    if (torch::GradMode::is_enabled()) {
      // A second derivative is wanted: differentiable pieces.
      const auto axes = all_but_channels(x.dim());
      grad_x = grads[0] * along_channels(scale, x.dim());
      grad_weight = (grads[0] * (x - along_channels(mean, x.dim()))).sum(axes) * s;
      grad_bias = grads[0].sum(axes);
    } else {
      std::tie(grad_x, grad_weight, grad_bias) = at::native_batch_norm_backward(
          grads[0].contiguous(x.suggest_memory_format()), x, weight, mean, var, {}, {},
          /*train=*/false, eps, {true, true, true});
    }
    const Tensor grad_mean = -scale * grad_bias;
    const Tensor grad_var = scale * s * grad_weight * -0.5;
    return {grad_x, grad_mean, grad_var, grad_weight, grad_bias, Tensor()};
  }
};

}  // namespace

Moments channel_moments(const Tensor& x) {
  const auto out = ChannelMoments::apply(reduced_precision(x) ? x.to(torch::kFloat) : x);
  return {out[0], out[1]};
}

Tensor channel_normalize(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& weight,
                         const Tensor& bias, double eps) {
  const torch::ScalarType type = reduced_precision(x) ? torch::kFloat : x.scalar_type();
  // autograd::Function takes no undefined tensors.
  const Tensor scale = weight.defined() ? weight.to(type) : torch::ones_like(mean, type);
  const Tensor shift = bias.defined() ? bias.to(type) : torch::zeros_like(mean, type);
  return ChannelNormalize::apply(x.to(type), mean.to(type), var.to(type), scale, shift, eps)
      .to(x.scalar_type());
}

}  // namespace refnorm::ops
