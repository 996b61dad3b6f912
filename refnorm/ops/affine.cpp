#include <algorithm>
#include <optional>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <refnorm/kernels/affine.h>
#include <refnorm/ops/affine.h>

namespace refnorm::ops {
namespace {

using torch::Tensor;

/// Values a thread should have to be worth waking it, ATen's own measure.
constexpr std::int64_t kGrain = 32768;

std::optional<kernels::Layout> dense_layout(const Tensor& x) {
  if (!x.is_cpu() || (x.scalar_type() != torch::kFloat && x.scalar_type() != torch::kDouble))
    return std::nullopt;
  if (x.is_contiguous()) return kernels::Layout::kPlanar;
  if ((x.dim() == 4 && x.is_contiguous(torch::MemoryFormat::ChannelsLast)) ||
      (x.dim() == 5 && x.is_contiguous(torch::MemoryFormat::ChannelsLast3d))) {
    return kernels::Layout::kChannelsLast;
  }
  return std::nullopt;
}

template <class T>
void run(const Tensor& x, const Tensor& out, kernels::Layout layout, const Tensor& centre,
         const Tensor& scale, const Tensor& shift) {
  const std::int64_t channels = x.size(1);
  const std::int64_t per_sample = x.numel() / x.size(0);
  const kernels::ChannelMap<T> map{centre.data_ptr<T>(), scale.data_ptr<T>(), shift.data_ptr<T>()};
  const T* from = x.data_ptr<T>();
  T* to = out.data_ptr<T>();
  at::parallel_for(0, x.size(0), std::max<std::int64_t>(1, kGrain / per_sample),
                   [&](std::int64_t begin, std::int64_t end) {
                     kernels::affine(from, to, begin, end, channels, per_sample / channels, layout, map);
                   });
}

}  // namespace

Tensor along_channels(const Tensor& values, std::int64_t dims) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(dims), 1);
  shape[1] = values.size(0);
  return values.view(shape);
}

Tensor affine_channels(const Tensor& x, const Tensor& centre, const Tensor& scale, const Tensor& shift) {
  const auto layout = dense_layout(x);
  const bool one_type = centre.scalar_type() == x.scalar_type() && scale.scalar_type() == x.scalar_type() &&
                        shift.scalar_type() == x.scalar_type();
  if (!layout || !one_type || x.numel() == 0) {
    return (x - along_channels(centre, x.dim())) * along_channels(scale, x.dim()) +
           along_channels(shift, x.dim());
  }
  const Tensor out = torch::empty_like(x);
  const Tensor k = centre.contiguous();
  const Tensor a = scale.contiguous();
  const Tensor b = shift.contiguous();
  if (x.scalar_type() == torch::kDouble) {
    run<double>(x, out, *layout, k, a, b);
  } else {
    run<float>(x, out, *layout, k, a, b);
  }
  return out;
}

}  // namespace refnorm::ops
