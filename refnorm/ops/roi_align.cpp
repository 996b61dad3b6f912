#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <refnorm/ops/parallel.h>
#include <refnorm/ops/roi_align.h>
#include <refnorm/ops/roi_align_products.h>

namespace refnorm::ops {
namespace {

using kernels::Bfloat16;
using kernels::FeatureMap;
using kernels::RoiLayout;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kChannelsLast = torch::MemoryFormat::ChannelsLast;

/// Channels of a picture that one thread adds gradients to.
constexpr std::int64_t kChannels = 128;

torch::MemoryFormat format_of(const Tensor& x) {
  return x.is_contiguous(kChannelsLast) && !x.is_contiguous() ? kChannelsLast
                                                              : torch::MemoryFormat::Contiguous;
}

RoiLayout layout_of(torch::MemoryFormat format) {
  return format == kChannelsLast ? RoiLayout::kChannelsLast : RoiLayout::kPlanes;
}

/// body(T of coordinates and sums, type of values).
template <class Body>
void by_type(torch::ScalarType type, const Body& body) {
  if (type == torch::kDouble) return body(double(), double());
  if (type == torch::kBFloat16) return body(float(), Bfloat16());
  body(float(), float());
}

torch::ScalarType compute_type(torch::ScalarType type) {
  return type == torch::kDouble ? torch::kDouble : torch::kFloat;
}

template <class T>
T* values(const Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

/// What autograd keeps beside tensors.
struct Call {
  RoiGrid grid;
  std::vector<std::int64_t> shape;  ///< of x
  torch::ScalarType type;
  torch::MemoryFormat format;

  FeatureMap map() const { return {shape[0], shape[2], shape[3], shape[1]}; }
  torch::TensorOptions options() const { return torch::dtype(type).memory_format(format); }
};

Tensor compute(const Tensor& x, const Tensor& rois, const Call& call) {
  const Tensor rows = x.detach().to(compute_type(call.type)).contiguous(kChannelsLast);
  const Tensor y =
      torch::empty({rois.size(0), call.shape[1], call.grid.height, call.grid.width}, call.options());
  by_type(call.type, [&](auto number, auto value) {
    using T = decltype(number);
    using Value = decltype(value);
    parallel_for(rois.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
      kernels::roi_align(values<T>(rows), call.map(), values<T>(rois), begin, end, call.grid,
                         layout_of(call.format), values<Value>(y));
    });
  });
  return y;
}

Tensor compute_gradient(const Tensor& dy, const Tensor& rois, const Call& call) {
  const Tensor given = dy.detach().to(call.type).contiguous(call.format);
  const auto options = torch::dtype(compute_type(call.type)).memory_format(kChannelsLast);
  const Tensor dx = torch::empty(call.shape, options).zero_();
  const std::int64_t parts = (call.shape[1] + kChannels - 1) / kChannels;
  by_type(call.type, [&](auto number, auto value) {
    using T = decltype(number);
    using Value = decltype(value);
    parallel_for(call.shape[0] * parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        const std::int64_t first = part % parts * kChannels;
        kernels::roi_align_backward(values<Value>(given), call.map(), values<T>(rois), rois.size(0),
                                    call.grid, layout_of(call.format), part / parts, first,
                                    std::min(first + kChannels, call.shape[1]), values<T>(dx));
      }
    });
  });
  return dx.to(call.type).contiguous(call.format);
}

void keep(AutogradContext* context, const Tensor& rois, const Call& call) {
  const auto& [height, width, scale, sampling_ratio, aligned] = call.grid;
  context->save_for_backward({rois});
  context->saved_data["grid"] = std::vector<std::int64_t>{height, width, sampling_ratio, aligned ? 1 : 0};
  context->saved_data["scale"] = scale;
  context->saved_data["shape"] = call.shape;
  context->saved_data["type"] = static_cast<std::int64_t>(call.type);
  context->saved_data["format"] = static_cast<std::int64_t>(call.format);
}

Call kept(AutogradContext* context) {
  const std::vector<std::int64_t> grid = context->saved_data["grid"].toIntVector();
  return {{grid[0], grid[1], context->saved_data["scale"].toDouble(), grid[2], grid[3] == 1},
          context->saved_data["shape"].toIntVector(),
          static_cast<torch::ScalarType>(context->saved_data["type"].toInt()),
          static_cast<torch::MemoryFormat>(context->saved_data["format"].toInt())};
}

/// Both are linear, and each is the other's gradient.
class RoiAlign : public torch::autograd::Function<RoiAlign> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& rois, const Call& call) {
    keep(context, rois, call);
    return compute(x, rois, call);
  }
  static variable_list backward(AutogradContext* context, variable_list grads);
};

class RoiAlignGradient : public torch::autograd::Function<RoiAlignGradient> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& dy, const Tensor& rois, const Call& call) {
    keep(context, rois, call);
    return compute_gradient(dy, rois, call);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const Call call = kept(context);
    return {RoiAlign::apply(grads[0].to(call.type), context->get_saved_variables()[0], call), Tensor(),
            Tensor()};
  }
};

variable_list RoiAlign::backward(AutogradContext* context, variable_list grads) {
  const Call call = kept(context);
  return {RoiAlignGradient::apply(grads[0], context->get_saved_variables()[0], call), Tensor(), Tensor()};
}

void check(const Tensor& x, const Tensor& rois, const RoiGrid& grid) {
  TORCH_CHECK(x.dim() == 4, "roi_align: expected features [N, C, H, W], got ", x.sizes());
  TORCH_CHECK(x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kDouble ||
                  x.scalar_type() == torch::kBFloat16,
              "roi_align: expected float32, float64 or bfloat16, got ", x.scalar_type());
  TORCH_CHECK(rois.dim() == 2 && rois.size(1) == 5, "roi_align: expected regions [R, 5], got ", rois.sizes());
  TORCH_CHECK(grid.height > 0 && grid.width > 0 && grid.sampling_ratio >= 0,
              "roi_align: expected a grid of at least 1x1 and a sampling ratio of at least 0");
  if (rois.size(0) == 0) return;
  const Tensor pictures = rois.detach().select(1, 0);
  TORCH_CHECK(((pictures >= 0) & (pictures < x.size(0))).all().item<bool>(),
              "roi_align: a region of a picture that is not there, of ", x.size(0));
}

}  // namespace

Tensor roi_align(const Tensor& x, const Tensor& rois, const RoiGrid& grid) {
  check(x, rois, grid);
  const Tensor boxes = rois.detach().to(torch::kCPU).to(compute_type(x.scalar_type())).contiguous();
  if (!x.is_cpu()) return roi_align_by_products(x, boxes, grid);
  const Call call{grid, x.sizes().vec(), x.scalar_type(), format_of(x)};
  return RoiAlign::apply(x, boxes, call);
}

}  // namespace refnorm::ops
