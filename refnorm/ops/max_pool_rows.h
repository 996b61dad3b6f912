#pragma once

#include <torch/types.h>

namespace refnorm::ops {

/// torch::max_pool2d(x, kernel, stride, padding) of x[N, C, H, W] in float32 or bfloat16 on the CPU, in
/// channels_last, by kernels::max_pool_rows: one byte an output is kept for backward, where LibTorch keeps an
/// int64 and x. Undefined where x is something else. Differentiable, twice.
torch::Tensor max_pool_rows(const torch::Tensor& x, std::int64_t kernel, std::int64_t stride,
                            std::int64_t padding);

}  // namespace refnorm::ops
