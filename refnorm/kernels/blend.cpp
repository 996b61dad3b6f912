#include <algorithm>
#include <cmath>
#include <limits>

#include <refnorm/kernels/blend.h>

namespace refnorm::kernels {
namespace {

double square(double value) {
  return value * value;
}

/// A coefficient as the sweeps want it: a NaN is the standard one (see sweeps.h).
template <class V>
V coefficient(double value) {
  return std::isnan(value) ? std::numeric_limits<V>::quiet_NaN() : static_cast<V>(value);
}

}  // namespace

Blender::Blender(const Shape& shape, const Blend& blend, const StatisticSets& sets,
                 const AffineParameters& affine, const SetStatistics& statistics)
    : shape_(shape),
      blend_(blend),
      sets_(sets),
      affine_(affine),
      statistics_(statistics),
      mean_(sets.cells()),
      inverse_deviation_(sets.cells()),
      scale_(sets.cells()),
      r_(renormalizes() ? sets.cells() : 0),
      d_(renormalizes() ? sets.cells() : 0) {}

template <class Body>
void Blender::for_each_source(std::int64_t block, std::int64_t begin, std::int64_t end,
                              const Body& body) const {
  const std::size_t computed = sets_.sources().size();
  for (std::size_t k = 0; k < computed; ++k) {
    sets_.for_each_group(k, block, begin, end, [&](std::int64_t set, std::int64_t from, std::int64_t to) {
      body(k, statistics_.mean[set], statistics_.var[set], from, to);
    });
  }
  if (!sets_.has_stored()) return;
  for (std::int64_t c = begin; c < end; ++c) {
    const auto channel = static_cast<std::size_t>(c);
    body(computed, blend_.stored_mean[channel], blend_.stored_var[channel], c, c + 1);
  }
}

/// M and, in the place of 1/sqrt(V + eps), V.
void Blender::blend_cells(std::int64_t block, std::int64_t begin, std::int64_t end) const {
  double* mean = mean_.get() + block * shape_.channels;
  double* var = inverse_deviation_.get() + block * shape_.channels;
  if (of_reference(block)) {
    const std::int64_t row = sets_.row_of(sets_.sources().size() - 1, block);
    std::copy(statistics_.mean + row + begin, statistics_.mean + row + end, mean + begin);
    std::copy(statistics_.var + row + begin, statistics_.var + row + end, var + begin);
    return;
  }
  std::fill(mean + begin, mean + end, 0.0);
  std::fill(var + begin, var + end, 0.0);
  for_each_source(block, begin, end,
                  [&](std::size_t k, double mu, double v, std::int64_t from, std::int64_t to) {
                    const double a = blend_.mean_weights[k] * mu;
                    const double b = blend_.var_weights[k] * v;
                    for (std::int64_t c = from; c < to; ++c) {
                      mean[c] += a;
                      var[c] += b;
                    }
                  });
  if (!blend_.mixture) return;
  for_each_source(block, begin, end,
                  [&](std::size_t k, double mu, double, std::int64_t from, std::int64_t to) {
                    for (std::int64_t c = from; c < to; ++c)
                      var[c] += blend_.mean_weights[k] * square(mu - mean[c]);
                  });
}

void Blender::renormalize_cells(std::int64_t block, std::int64_t begin, std::int64_t end) const {
  const Renormalization& towards = blend_.renormalization;
  for (std::int64_t c = begin; c < end; ++c) {
    const std::int64_t i = block * shape_.channels + c;
    const auto channel = static_cast<std::size_t>(c);
    const double deviation = std::sqrt(towards.var[channel] + blend_.eps);
    r_[i] = std::clamp(1 / (inverse_deviation_[i] * deviation), 1 / towards.r_max, towards.r_max);
    d_[i] = std::clamp((mean_[i] - towards.mean[channel]) / deviation, -towards.d_max, towards.d_max);
    scale_[i] *= r_[i];
  }
}

template <class V>
void Blender::forward_coefficients(const Region& region, V* centre, V* scale, V* shift) const {
  for (std::int64_t b = region.block_begin; b < region.block_end; ++b) {
    blend_cells(b, region.channel_begin, region.channel_end);
    const std::int64_t row = b * shape_.channels;
    // Channels of one set follow each other: a root for each set is enough.
    double var = 0;
    double inverse = 1 / std::sqrt(var + blend_.eps);
    for (std::int64_t c = region.channel_begin; c < region.channel_end; ++c) {
      if (inverse_deviation_[row + c] != var) {
        var = inverse_deviation_[row + c];
        inverse = 1 / std::sqrt(var + blend_.eps);
      }
      inverse_deviation_[row + c] = inverse;
      scale_[row + c] = weight(c) * inverse;
    }
    if (renormalizes()) renormalize_cells(b, region.channel_begin, region.channel_end);
    for (std::int64_t c = region.channel_begin; c < region.channel_end; ++c) {
      const std::int64_t i = row + c;
      centre[i] = coefficient<V>(mean_[i]);
      scale[i] = coefficient<V>(scale_[i]);
      const double drift = renormalizes() ? weight(c) * d_[i] : 0;
      shift[i] = coefficient<V>(drift + bias(c) + scale_[i] * (static_cast<double>(centre[i]) - mean_[i]));
    }
  }
}

template <class V>
void Blender::set_gradients(const Region& region, const double* g, double* gx, double* mean_grad,
                            double* var_grad) const {
  const std::size_t computed = sets_.sources().size();
  const auto each_set = [&](std::int64_t b, const auto& body) {
    for (std::size_t k = 0; k < computed; ++k) {
      if (!sets_.takes_part(k, b)) continue;
      sets_.for_each_group(
          k, b, region.channel_begin, region.channel_end,
          [&](std::int64_t set, std::int64_t from, std::int64_t to) { body(k, set, from, to); });
    }
  };
  for (std::int64_t b = region.block_begin; b < region.block_end; ++b) {
    each_set(b, [&](std::size_t, std::int64_t set, std::int64_t, std::int64_t) {
      mean_grad[set] = var_grad[set] = 0;
    });
  }
  for (std::int64_t b = region.block_begin; b < region.block_end; ++b) {
    const std::int64_t row = b * shape_.channels;
    for (std::int64_t i = row + region.channel_begin; i < row + region.channel_end; ++i) {
      gx[i] += (static_cast<double>(static_cast<V>(mean_[i])) - mean_[i]) * g[i];
    }
    each_set(b, [&](std::size_t k, std::int64_t set, std::int64_t from, std::int64_t to) {
      // A cell of the reference is normalized by its own statistics alone.
      const double a = of_reference(b) ? 1 : blend_.mean_weights[k];
      const double v = of_reference(b) ? 1 : blend_.var_weights[k];
      double of_mean = 0;
      double of_var = 0;
      for (std::int64_t i = row + from; i < row + to; ++i) {
        of_mean += a * mean_gradient(i, g[i]);
        of_var += v * var_gradient(i, gx[i]);
        // d/dmu_k of sum a_j (mu_j − M)^2; what goes through M vanishes, since sum a_j = 1.
        if (blend_.mixture && !of_reference(b)) {
          of_mean += var_gradient(i, gx[i]) * 2 * a * (statistics_.mean[set] - mean_[i]);
        }
      }
      mean_grad[set] += of_mean;
      var_grad[set] += of_var;
    });
  }
}

// With n values in a set: dmu/dx = 1/n, dvar/dx = 2/n · (x − mu).
template <class V>
void Blender::backward_coefficients(const Region& region, const double* mean_grad, const double* var_grad,
                                    V* g_scale, V* x_scale, V* shift) const {
  const std::size_t computed = sets_.sources().size();
  const std::int64_t width = region.channel_end - region.channel_begin;
  const Array<double> slope(width);
  const Array<double> constant(width);
  for (std::int64_t b = region.block_begin; b < region.block_end; ++b) {
    const std::int64_t row = b * shape_.channels;
    std::fill(slope.get(), slope.get() + width, 0.0);
    std::fill(constant.get(), constant.get() + width, 0.0);
    for (std::size_t k = 0; k < computed; ++k) {
      const bool of_another_block = !of_reference(b) && sets_.has_reference_block() && k + 1 == computed;
      if (of_another_block || !sets_.takes_part(k, b)) continue;
      const double per_value = 1 / sets_.row_values(k, b);
      sets_.for_each_group(k, b, region.channel_begin, region.channel_end,
                           [&](std::int64_t set, std::int64_t from, std::int64_t to) {
                             const double inclination = 2 * var_grad[set] * per_value;
                             const double level = mean_grad[set] * per_value;
                             for (std::int64_t c = from; c < to; ++c) {
                               const double centre = static_cast<V>(mean_[row + c]);
                               slope[c - region.channel_begin] += inclination;
                               constant[c - region.channel_begin] +=
                                   level + inclination * (centre - statistics_.mean[set]);
                             }
                           });
    }
    for (std::int64_t c = region.channel_begin; c < region.channel_end; ++c) {
      g_scale[row + c] = coefficient<V>(scale_[row + c]);
      x_scale[row + c] = coefficient<V>(slope[c - region.channel_begin]);
      shift[row + c] = coefficient<V>(constant[c - region.channel_begin]);
    }
  }
}

// y = weight · (r · (x − M) / sqrt(V + eps) + d) + bias
void Blender::parameter_gradients(const double* g, const double* gx, double* weight_grad, double* bias_grad,
                                  double* mean_weights, double* var_weights) const {
  const std::int64_t channels = shape_.channels;
  std::fill(weight_grad, weight_grad + channels, 0.0);
  std::fill(bias_grad, bias_grad + channels, 0.0);
  for (std::int64_t b = 0; b < sets_.blocks(); ++b) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t i = b * channels + c;
      const double r = renormalizes() ? r_[i] : 1;
      const double d = renormalizes() ? d_[i] : 0;
      weight_grad[c] += r * inverse_deviation_[i] * gx[i] + d * g[i];
      bias_grad[c] += g[i];
    }
  }
  if (mean_weights == nullptr) return;
  std::fill(mean_weights, mean_weights + blend_.mean_weights.size(), 0.0);
  std::fill(var_weights, var_weights + blend_.var_weights.size(), 0.0);
  for (std::int64_t b = sets_.has_reference_block() ? 1 : 0; b < sets_.blocks(); ++b) {
    const std::int64_t row = b * channels;
    for_each_source(b, 0, channels,
                    [&](std::size_t k, double mu, double v, std::int64_t from, std::int64_t to) {
                      for (std::int64_t i = row + from; i < row + to; ++i) {
                        mean_weights[k] += mean_gradient(i, g[i]) * mu;
                        if (blend_.mixture) mean_weights[k] += var_gradient(i, gx[i]) * square(mu - mean_[i]);
                        var_weights[k] += var_gradient(i, gx[i]) * v;
                      }
                    });
  }
}

template void Blender::forward_coefficients<float>(const Region&, float*, float*, float*) const;
template void Blender::set_gradients<float>(const Region&, const double*, double*, double*, double*) const;
template void Blender::backward_coefficients<float>(const Region&, const double*, const double*, float*,
                                                    float*, float*) const;
template void Blender::forward_coefficients<double>(const Region&, double*, double*, double*) const;
template void Blender::set_gradients<double>(const Region&, const double*, double*, double*, double*) const;
template void Blender::backward_coefficients<double>(const Region&, const double*, const double*, double*,
                                                     double*, double*) const;

}  // namespace refnorm::kernels
