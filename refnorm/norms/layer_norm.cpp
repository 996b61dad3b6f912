#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/layer_norm.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {

using torch::Tensor;

Tensor LayerNormNdBase::compute(const Tensor& x, const ops::Then& then) {
  require_values(x.numel() / x.size(0), x, "a sample");
  ops::NormalizeBy by;
  by.sets = {{1, channels()}};
  return apply(x, by, then).y;
}

LayerNormImpl::LayerNormImpl(LayerNormOptions given) : options(std::move(given)) {
  const auto& shape = options.normalized_shape();
  if (shape.empty() || *std::min_element(shape.begin(), shape.end()) < 1) {
    user_error("LayerNorm: normalized_shape is [{}], expected at least one axis, each of at least 1",
               fmt::join(shape, ", "));
  }
  if (!(options.eps() > 0)) user_error("LayerNorm: eps is {}, expected above 0", options.eps());
  reset();
}

void LayerNormImpl::reset() {
  const bool affine = options.elementwise_affine();
  const auto& shape = options.normalized_shape();
  weight = register_parameter("weight", affine ? torch::ones(shape) : Tensor(), affine);
  bias = register_parameter("bias", affine ? torch::zeros(shape) : Tensor(), affine);
}

void LayerNormImpl::reset_parameters() {
  if (!weight.defined()) return;
  const torch::NoGradGuard no_grad;
  weight.fill_(1);
  bias.zero_();
}

Tensor LayerNormImpl::normalize(const Tensor& x, const ops::Then& then) {
  const auto& shape = options.normalized_shape();
  const auto axes = static_cast<std::int64_t>(shape.size());
  if (x.dim() < axes || x.sizes().slice(static_cast<std::size_t>(x.dim() - axes)) != at::IntArrayRef(shape)) {
    user_error("LayerNorm: expected an input whose last axes are [{}], got shape [{}]",
               fmt::join(shape, ", "), fmt::join(x.sizes(), ", "));
  }
  if (!x.is_floating_point()) user_error("LayerNorm: expected floating-point values");
  // The normalized axes as channels of one position: each row is a sample of its own.
  std::int64_t width = 1;
  for (const std::int64_t length : shape) width *= length;
  const auto rows = [&](const Tensor& tensor) {
    return tensor.defined() ? tensor.reshape({x.numel() / width, width}) : tensor;
  };
  const auto flat = [](const Tensor& tensor) { return tensor.defined() ? tensor.flatten() : tensor; };
  ops::NormalizeBy by;
  by.sets = {{1, width}};
  by.eps = options.eps();
  return ops::normalize(rows(x), by, flat(weight), flat(bias), {rows(then.residual), then.relu})
      .y.view(x.sizes());
}

void LayerNormImpl::pretty_print(std::ostream& stream) const {
  stream << fmt::format("refnorm::LayerNorm([{}], eps={}, elementwise_affine={})",
                        fmt::join(options.normalized_shape(), ", "), options.eps(),
                        options.elementwise_affine());
}

NormEntry layer_norm_entry() {
  return {{"ln", "layer normalization",
           "as bn, by mean and variance of each sample over all channels and positions; weight and bias per "
           "channel",
           "Ba et al. 2016", affine_options()},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            LayerNormNdOptions options(channels);
            read_affine(reader, options);
            return made<LayerNormNdBase>(reader, options, dims);
          }};
}

}  // namespace refnorm
