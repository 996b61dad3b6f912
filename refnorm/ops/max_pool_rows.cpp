#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/kernels/max_pool_rows.h>
#include <refnorm/ops/max_pool_rows.h>
#include <refnorm/ops/parallel.h>

namespace refnorm::ops {
namespace {

using kernels::PoolShape;
using kernels::PoolWindow;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Values below which waking other threads costs more than they bring.
constexpr std::int64_t kParallelValues = 65536;

/// body(pictures, first input value, first output value, type), by threads.
template <class Body>
void for_pictures(const Tensor& like, const PoolShape& shape, const PoolWindow& window, const Body& body) {
  const std::int64_t inputs = shape.height * shape.width * shape.channels;
  const std::int64_t outputs = window.outputs(shape.height) * window.outputs(shape.width) * shape.channels;
  const std::int64_t grain = std::max<std::int64_t>(1, kParallelValues / std::max<std::int64_t>(inputs, 1));
  parallel_for(shape.pictures, grain, [&](std::int64_t begin, std::int64_t end) {
    PoolShape part = shape;
    part.pictures = end - begin;
    if (like.scalar_type() == torch::kFloat)
      body(part, begin * inputs, begin * outputs, float());
    else
      body(part, begin * inputs, begin * outputs, kernels::Bfloat16());
  });
}

template <class T>
T* values(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

/// As LibTorch has them: row · W + column within the picture.
Tensor indices_of(const Tensor& which, const PoolWindow& window, std::int64_t width) {
  const Tensor place = which.to(torch::kLong);
  const auto origin = [&](std::int64_t count) {
    return torch::arange(count) * window.stride - window.padding;
  };
  const Tensor row = place.div(window.kernel, "floor") + origin(which.size(2)).view({-1, 1});
  const Tensor column = place.remainder(window.kernel) + origin(which.size(3));
  return row * width + column;
}

class MaxPoolRows : public torch::autograd::Function<MaxPoolRows> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, std::int64_t kernel, std::int64_t stride,
                        std::int64_t padding) {
    const PoolWindow window{kernel, stride, padding};
    const PoolShape shape{x.size(0), x.size(2), x.size(3), x.size(1)};
    const auto options = x.options().memory_format(torch::MemoryFormat::ChannelsLast);
    const std::vector<std::int64_t> sizes{x.size(0), x.size(1), window.outputs(x.size(2)),
                                          window.outputs(x.size(3))};
    const Tensor y = torch::empty(sizes, options);
    const Tensor which = torch::empty(sizes, options.dtype(torch::kByte));
    for_pictures(x, shape, window, [&](const PoolShape& part, std::int64_t from, std::int64_t to, auto type) {
      using T = decltype(type);
      kernels::max_pool_rows(values<T>(x) + from, values<T>(y) + to, values<std::uint8_t>(which) + to, part,
                             window);
    });
    context->save_for_backward({which});
    context->saved_data["shape"] = x.sizes().vec();
    context->saved_data["window"] = std::vector<std::int64_t>{kernel, stride, padding};
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const Tensor which = context->get_saved_variables()[0];
    const std::vector<std::int64_t> sizes = context->saved_data["shape"].toIntVector();
    const std::vector<std::int64_t> numbers = context->saved_data["window"].toIntVector();
    const PoolWindow window{numbers[0], numbers[1], numbers[2]};
    if (torch::GradMode::is_enabled()) {
      const auto twice = [](std::int64_t value) { return std::vector<std::int64_t>{value, value}; };
      return {at::max_pool2d_with_indices_backward(
                  grads[0],
                  torch::empty(sizes, grads[0].options().memory_format(torch::MemoryFormat::ChannelsLast)),
                  twice(window.kernel), twice(window.stride), twice(window.padding), twice(1), false,
                  indices_of(which, window, sizes[3])),
              Tensor(), Tensor(), Tensor()};
    }
    const Tensor dy = grads[0].contiguous(torch::MemoryFormat::ChannelsLast);
    const Tensor dx = torch::empty(sizes, dy.options().memory_format(torch::MemoryFormat::ChannelsLast));
    for_pictures(dy, {sizes[0], sizes[2], sizes[3], sizes[1]}, window,
                 [&](const PoolShape& part, std::int64_t to, std::int64_t from, auto type) {
                   using T = decltype(type);
                   kernels::max_pool_rows_backward(values<T>(dy) + from, values<std::uint8_t>(which) + from,
                                                   values<T>(dx) + to, part, window);
                 });
    return {dx, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor max_pool_rows(const Tensor& x, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  const bool fits = x.is_cpu() && (x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kBFloat16) &&
                    x.dim() == 4 && x.numel() > 0 && x.is_contiguous(torch::MemoryFormat::ChannelsLast) &&
                    std::min(x.size(2), x.size(3)) + 2 * padding >= kernel;
  return fits ? MaxPoolRows::apply(x, kernel, stride, padding) : Tensor();
}

}  // namespace refnorm::ops
