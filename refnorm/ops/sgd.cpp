#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/kernels/sgd.h>
#include <refnorm/ops/parallel.h>
#include <refnorm/ops/sgd.h>

namespace refnorm::ops {
namespace {

using torch::Tensor;

/// Values below which waking other threads costs more than they bring.
constexpr std::int64_t kGrain = 32768;

/// Whether values lie in memory one after another, as those of `like` do.
bool lies_as(const Tensor& tensor, const Tensor& like) {
  return tensor.device().is_cpu() && tensor.layout() == torch::kStrided &&
         tensor.scalar_type() == torch::kFloat && tensor.is_non_overlapping_and_dense() &&
         tensor.strides() == like.strides();
}

}  // namespace

void sgd_step(const SgdStep& by, const Tensor& gradient, const Tensor& p, Tensor& m) {
  const torch::NoGradGuard no_grad;
  const bool with_momentum = by.momentum != 0;
  if (with_momentum && !m.defined()) m = torch::zeros_like(p, torch::MemoryFormat::Preserve);
  if (lies_as(p, p) && lies_as(gradient, p) && (!with_momentum || lies_as(m, p))) {
    const kernels::SgdStep step{static_cast<float>(by.lr), static_cast<float>(by.momentum),
                                static_cast<float>(by.decay), by.nesterov};
    const float* g = gradient.data_ptr<float>();
    float* values = p.data_ptr<float>();
    float* sums = with_momentum ? m.data_ptr<float>() : nullptr;
    parallel_for(p.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::sgd_step(step, g + begin, values + begin, sums == nullptr ? nullptr : sums + begin,
                        end - begin);
    });
    return;
  }
  Tensor g = by.decay == 0 ? gradient : gradient.add(p, by.decay);
  if (with_momentum) {
    m.mul_(by.momentum).add_(g);
    g = by.nesterov ? g.add(m, by.momentum) : m;
  }
  p.add_(g, -by.lr);
}

}  // namespace refnorm::ops
