#pragma once

#include <torch/types.h>

namespace refnorm::ops {

/// Maximum pooling of x[N, C, H, W] over windows of 2x2 with stride 2: torch::max_pool2d(x, 2), to the bit,
/// whose forward pass LibTorch 1.13 computes value by value. Contiguous float32 on the CPU goes through
/// kernels::max_pool_2x2, which keeps one byte an output for backward instead of an int64; channels_last
/// through max_pool_rows(), all else through LibTorch's operator. Differentiable, twice.
torch::Tensor max_pool_2x2(const torch::Tensor& x);

/// The same over windows of 3x3 with stride 2 and a border of 1, as in a ResNet's stem.
torch::Tensor max_pool_3x3(const torch::Tensor& x);

}  // namespace refnorm::ops
