#pragma once

#include <torch/types.h>

namespace refnorm::ops {

/// `out` is a convolution of `y`, and y what normalize() made of x and, where it had one, `residual`: the
/// convolution's backward pass then computes y once more, to the same bits, instead of keeping it. That is
/// one more sweep over memory for one activation less; the residual is kept. Anything else is left as it is.
/// Returns out.
torch::Tensor recompute_input(const torch::Tensor& out, const torch::Tensor& y,
                              const torch::Tensor& residual = {});

}  // namespace refnorm::ops
