#include <algorithm>
#include <cmath>

#include <refnorm/kernels/blend.h>

namespace refnorm::kernels {
namespace {

double square(double value) {
  return value * value;
}

template <class Body>
void for_each_cell(const Region& region, const Body& body) {
  for (std::int64_t b = region.block_begin; b < region.block_end; ++b) {
    for (std::int64_t c = region.channel_begin; c < region.channel_end; ++c) body(b, c);
  }
}

}  // namespace

Blender::Moments Blender::source(std::size_t k, std::int64_t block, std::int64_t channel) const {
  if (k == sets_.sources().size()) {
    const auto c = static_cast<std::size_t>(channel);
    return {blend_.stored_mean[c], blend_.stored_var[c]};
  }
  const std::int64_t set = sets_.set_of(k, block, channel);
  return {statistics_.mean[set], statistics_.var[set]};
}

Blender::Cell Blender::cell(std::int64_t block, std::int64_t channel) const {
  Cell at{};
  if (of_reference(block)) {
    const Moments own = source(source_count() - 1, block, channel);
    at.mean = own.mean;
    at.var = own.var;
  } else {
    for (std::size_t k = 0; k < source_count(); ++k) {
      const Moments moments = source(k, block, channel);
      at.mean += blend_.mean_weights[k] * moments.mean;
      at.var += blend_.var_weights[k] * moments.var;
    }
    if (blend_.mixture) {
      for (std::size_t k = 0; k < source_count(); ++k) {
        at.var += blend_.mean_weights[k] * square(source(k, block, channel).mean - at.mean);
      }
    }
  }
  at.inverse_deviation = 1 / std::sqrt(at.var + blend_.eps);
  at.r = 1;
  const Renormalization& towards = blend_.renormalization;
  if (!towards.mean.empty()) {
    const auto c = static_cast<std::size_t>(channel);
    const double deviation = std::sqrt(towards.var[c] + blend_.eps);
    at.r = std::clamp(1 / (at.inverse_deviation * deviation), 1 / towards.r_max, towards.r_max);
    at.d = std::clamp((at.mean - towards.mean[c]) / deviation, -towards.d_max, towards.d_max);
  }
  at.scale = weight(channel) * at.r * at.inverse_deviation;
  return at;
}

template <class V>
void Blender::forward_coefficients(const Region& region, V* centre, V* scale, V* shift) const {
  for_each_cell(region, [&](std::int64_t b, std::int64_t c) {
    const Cell at = cell(b, c);
    const std::int64_t i = b * shape_.channels + c;
    centre[i] = static_cast<V>(at.mean);
    scale[i] = static_cast<V>(at.scale);
    shift[i] =
        static_cast<V>(weight(c) * at.d + bias(c) + at.scale * (static_cast<double>(centre[i]) - at.mean));
  });
}

// y = weight · (r · (x − M) / sqrt(V + eps) + d) + bias; `gx` is taken about M as V rounds it.
template <class V>
Blender::CellGradient Blender::cell_gradient(const Cell& at, double g, double gx) const {
  const double about_mean = gx + (static_cast<double>(static_cast<V>(at.mean)) - at.mean) * g;
  return {-at.scale * g, -0.5 * at.scale * square(at.inverse_deviation) * about_mean};
}

template <class V>
void Blender::set_gradients(const Region& region, const double* g, const double* gx, double* mean_grad,
                            double* var_grad) const {
  const std::size_t computed = sets_.sources().size();
  const auto each_set = [&](const auto& body) {
    for_each_cell(region, [&](std::int64_t b, std::int64_t c) {
      for (std::size_t k = 0; k < computed; ++k) {
        const std::int64_t set = sets_.set_of(k, b, c);
        if (set >= 0) body(set);
      }
    });
  };
  each_set([&](std::int64_t set) { mean_grad[set] = var_grad[set] = 0; });
  for_each_cell(region, [&](std::int64_t b, std::int64_t c) {
    const Cell at = cell(b, c);
    const std::int64_t i = b * shape_.channels + c;
    const CellGradient gradient = cell_gradient<V>(at, g[i], gx[i]);
    if (of_reference(b)) {
      const std::int64_t set = sets_.set_of(computed - 1, b, c);
      mean_grad[set] += gradient.mean;
      var_grad[set] += gradient.var;
      return;
    }
    for (std::size_t k = 0; k < computed; ++k) {
      const std::int64_t set = sets_.set_of(k, b, c);
      mean_grad[set] += blend_.mean_weights[k] * gradient.mean;
      var_grad[set] += blend_.var_weights[k] * gradient.var;
      // d/dmu_k of sum a_j (mu_j − M)^2; what goes through M vanishes, since sum a_j = 1.
      if (blend_.mixture) {
        mean_grad[set] += gradient.var * 2 * blend_.mean_weights[k] * (statistics_.mean[set] - at.mean);
      }
    }
  });
}

// With n values in a set: dmu/dx = 1/n, dvar/dx = 2/n · (x − mu).
template <class V>
void Blender::backward_coefficients(const Region& region, const double* mean_grad, const double* var_grad,
                                    V* g_scale, V* x_scale, V* shift) const {
  for_each_cell(region, [&](std::int64_t b, std::int64_t c) {
    const Cell at = cell(b, c);
    const std::int64_t i = b * shape_.channels + c;
    const double centre = static_cast<V>(at.mean);
    double slope = 0;
    double constant = 0;
    for (std::size_t k = 0; k < sets_.sources().size(); ++k) {
      const bool of_another_block =
          !of_reference(b) && sets_.has_reference_block() && k + 1 == sets_.sources().size();
      if (of_another_block) continue;
      const std::int64_t set = sets_.set_of(k, b, c);
      if (set < 0) continue;
      const auto n = static_cast<double>(sets_.set_values(k, set));
      const double per_value = 2 * var_grad[set] / n;
      slope += per_value;
      constant += mean_grad[set] / n + per_value * (centre - statistics_.mean[set]);
    }
    g_scale[i] = static_cast<V>(at.scale);
    x_scale[i] = static_cast<V>(slope);
    shift[i] = static_cast<V>(constant);
  });
}

template <class V>
void Blender::parameter_gradients(const double* g, const double* gx, double* weight_grad, double* bias_grad,
                                  double* mean_weights, double* var_weights) const {
  std::fill(weight_grad, weight_grad + shape_.channels, 0.0);
  std::fill(bias_grad, bias_grad + shape_.channels, 0.0);
  for (double* weights : {mean_weights, var_weights}) {
    if (weights != nullptr) std::fill(weights, weights + source_count(), 0.0);
  }
  for_each_cell(sets_.whole(), [&](std::int64_t b, std::int64_t c) {
    const Cell at = cell(b, c);
    const std::int64_t i = b * shape_.channels + c;
    const double about_mean = gx[i] + (static_cast<double>(static_cast<V>(at.mean)) - at.mean) * g[i];
    weight_grad[c] += at.r * at.inverse_deviation * about_mean + at.d * g[i];
    bias_grad[c] += g[i];
    if (mean_weights == nullptr || of_reference(b)) return;
    const CellGradient gradient = cell_gradient<V>(at, g[i], gx[i]);
    for (std::size_t k = 0; k < source_count(); ++k) {
      const Moments moments = source(k, b, c);
      mean_weights[k] += gradient.mean * moments.mean;
      if (blend_.mixture) mean_weights[k] += gradient.var * square(moments.mean - at.mean);
      var_weights[k] += gradient.var * moments.var;
    }
  });
}

#define REFNORM_INSTANTIATE(V)                                                                             \
  template void Blender::forward_coefficients<V>(const Region&, V*, V*, V*) const;                         \
  template void Blender::set_gradients<V>(const Region&, const double*, const double*, double*, double*)   \
      const;                                                                                               \
  template void Blender::backward_coefficients<V>(const Region&, const double*, const double*, V*, V*, V*) \
      const;                                                                                               \
  template void Blender::parameter_gradients<V>(const double*, const double*, double*, double*, double*,   \
                                                double*) const;
REFNORM_INSTANTIATE(float)
REFNORM_INSTANTIATE(double)
#undef REFNORM_INSTANTIATE

}  // namespace refnorm::kernels
