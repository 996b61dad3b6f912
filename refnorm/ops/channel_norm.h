#pragma once

#include <torch/types.h>

namespace refnorm::ops {

/// Statistics of each channel: mean[C] and biased variance[C]. float32 for float32, bfloat16 and float16
/// inputs, float64 for float64 ones.
struct Moments {
  torch::Tensor mean;
  torch::Tensor var;
};

/// mean_c and 1/n sum (x − mean_c)^2 over all axes of x[N, C, *] but the second; n values a channel, n > 0.
/// Two passes, never E[x^2] − E[x]^2. Differentiable, twice.
Moments channel_moments(const torch::Tensor& x);

/// y = weight · (x − mean) / sqrt(var + eps) + bias, each of the four a tensor of [C]; weight and bias may
/// both be undefined (1 and 0). Computed as a · (x − mean) + bias: a·x + b would lose digits where |mean| is
/// far above the deviation. y has x's dtype and memory format. Differentiable, twice, in all five tensors.
torch::Tensor channel_normalize(const torch::Tensor& x, const torch::Tensor& mean, const torch::Tensor& var,
                                const torch::Tensor& weight, const torch::Tensor& bias, double eps);

}  // namespace refnorm::ops
