#pragma once

#include <cstdint>

namespace refnorm::kernels {

/// g = gradient + decay · p; m = momentum · m + g; p −= lr · (nesterov ? g + momentum · m : m). What
/// torch::optim::SGD does without dampening, in one sweep over memory and not in four.
struct SgdStep {
  float lr = 0, momentum = 0, decay = 0;
  bool nesterov = false;
};

/// `m` null: p −= lr · g.
void sgd_step(const SgdStep& by, const float* gradient, float* p, float* m, std::int64_t count);

}  // namespace refnorm::kernels
