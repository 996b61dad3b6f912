#include <refnorm/kernels/sgd.h>

namespace refnorm::kernels {

void sgd_step(const SgdStep& by, const float* __restrict gradient, float* __restrict p, float* __restrict m,
              std::int64_t count) {
  const SgdStep step = by;  // a copy: what is written below cannot be it
  if (m == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) p[i] -= step.lr * (gradient[i] + step.decay * p[i]);
  } else if (step.nesterov) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float g = gradient[i] + step.decay * p[i];
      m[i] = step.momentum * m[i] + g;
      p[i] -= step.lr * (g + step.momentum * m[i]);
    }
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      m[i] = step.momentum * m[i] + (gradient[i] + step.decay * p[i]);
      p[i] -= step.lr * m[i];
    }
  }
}

}  // namespace refnorm::kernels
