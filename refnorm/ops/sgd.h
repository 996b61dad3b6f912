#pragma once

#include <torch/types.h>

namespace refnorm::ops {

/// A step of stochastic gradient descent, as torch::optim::SGD takes it without dampening:
/// g = gradient + decay · p; m = momentum · m + g; p −= lr · (nesterov ? g + momentum · m : m).
struct SgdStep {
  double lr = 0, momentum = 0, decay = 0;
  bool nesterov = false;
};

/// Changes `p` and, where by.momentum is not 0, `m`, which is made where it is undefined. One sweep over
/// memory for float32 on the CPU whose values lie alike in all of them; LibTorch's operators for everything
/// else.
void sgd_step(const SgdStep& by, const torch::Tensor& gradient, const torch::Tensor& p, torch::Tensor& m);

}  // namespace refnorm::ops
