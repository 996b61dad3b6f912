#include <ATen/TracerMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/kernels/max_pool.h>
#include <refnorm/ops/max_pool.h>
#include <refnorm/ops/max_pool_rows.h>
#include <refnorm/ops/parallel.h>

namespace refnorm::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Outputs below which waking other threads costs more than they bring.
constexpr std::int64_t kParallelOutputs = 65536;

struct Planes {
  explicit Planes(at::IntArrayRef shape)
      : count(shape[0] * shape[1]), height(shape[2]), width(shape[3]), outputs((height / 2) * (width / 2)) {}
  template <class Body>
  void in_parallel(const Body& body) const {
    const std::int64_t grain =
        std::max<std::int64_t>(1, kParallelOutputs / std::max<std::int64_t>(outputs, 1));
    parallel_for(count, grain, body);
  }
  std::int64_t count, height, width, outputs;
};

/// Of dy, by differentiable operators: each of a window's four places gets it or zero.
Tensor spread_composed(const Tensor& dy, const Tensor& which, at::IntArrayRef shape) {
  std::vector<Tensor> places;
  for (int k = 0; k < 4; ++k) places.push_back(dy * (which == k));
  const Tensor upper = torch::stack({places[0], places[1]}, 4).flatten(3);
  const Tensor lower = torch::stack({places[2], places[3]}, 4).flatten(3);
  const Tensor whole = torch::stack({upper, lower}, 3).flatten(2, 3);
  return torch::constant_pad_nd(whole, {0, shape[3] % 2, 0, shape[2] % 2});
}

class MaxPool : public torch::autograd::Function<MaxPool> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x) {
    const Planes planes(x.sizes());
    const Tensor y = torch::empty({x.size(0), x.size(1), planes.height / 2, planes.width / 2}, x.options());
    const Tensor which = torch::empty(y.sizes(), torch::dtype(torch::kByte));
    const float* from = x.data_ptr<float>();
    auto* to = y.data_ptr<float>();
    auto* places = which.data_ptr<std::uint8_t>();
    planes.in_parallel([&](std::int64_t begin, std::int64_t end) {
      kernels::max_pool_2x2(from + begin * planes.height * planes.width, to + begin * planes.outputs,
                            places + begin * planes.outputs, end - begin, planes.height, planes.width);
    });
    context->save_for_backward({which});
    context->saved_data["shape"] = x.sizes().vec();
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const Tensor which = context->get_saved_variables()[0];
    const std::vector<std::int64_t> shape = context->saved_data["shape"].toIntVector();
    if (torch::GradMode::is_enabled()) return {spread_composed(grads[0], which, shape)};
    const Planes planes(shape);
    const Tensor dy = grads[0].contiguous();
    const Tensor dx = torch::empty(shape, dy.options());
    const float* from = dy.data_ptr<float>();
    const auto* places = which.data_ptr<std::uint8_t>();
    auto* to = dx.data_ptr<float>();
    planes.in_parallel([&](std::int64_t begin, std::int64_t end) {
      kernels::max_pool_2x2_backward(from + begin * planes.outputs, places + begin * planes.outputs,
                                     to + begin * planes.height * planes.width, end - begin, planes.height,
                                     planes.width);
    });
    return {dx};
  }
};

}  // namespace

Tensor max_pool_2x2(const Tensor& x) {
  // A recording of the network knows LibTorch's operator.
  if (at::tracer::impl::is_dispatch_enabled()) return torch::max_pool2d(x, 2);
  const bool planes = x.is_cpu() && x.scalar_type() == torch::kFloat && x.dim() == 4 && x.is_contiguous() &&
                      x.numel() > 0 && x.size(2) >= 2 && x.size(3) >= 2;
  if (planes) return MaxPool::apply(x);
  const Tensor y = max_pool_rows(x, 2, 2, 0);
  return y.defined() ? y : torch::max_pool2d(x, 2);
}

Tensor max_pool_3x3(const Tensor& x) {
  if (at::tracer::impl::is_dispatch_enabled()) return torch::max_pool2d(x, 3, 2, 1);
  const Tensor y = max_pool_rows(x, 3, 2, 1);
  return y.defined() ? y : torch::max_pool2d(x, 3, 2, 1);
}

}  // namespace refnorm::ops
