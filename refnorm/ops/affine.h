#pragma once

#include <cstdint>

#include <torch/types.h>

namespace refnorm::ops {

/// [C] -> [1, C, 1, ...], to be broadcast against an x of `dims` axes.
torch::Tensor along_channels(const torch::Tensor& values, std::int64_t dims);

/// scale · (x − centre) + shift for x[N, C, *] and three tensors of [C], in x's memory format; no autograd.
/// Dense float32 and float64 on the CPU go through kernels::affine in one sweep, all else through ATen's
/// operators.
torch::Tensor affine_channels(const torch::Tensor& x, const torch::Tensor& centre, const torch::Tensor& scale,
                              const torch::Tensor& shift);

}  // namespace refnorm::ops
