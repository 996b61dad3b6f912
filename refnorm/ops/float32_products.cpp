#include <algorithm>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/convolution_backward_native.h>
#include <ATen/ops/convolution_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <c10/util/Exception.h>
#include <torch/version.h>

#include <refnorm/ops/float32_products.h>
#include <refnorm/ops/parallel.h>

namespace refnorm::ops {
namespace {

using at::IntArrayRef;
using at::Tensor;

bool is_bfloat16(const Tensor& x) {
  return x.scalar_type() == at::kBFloat16;
}

Tensor widened(const Tensor& x) {
  return x.defined() ? x.to(at::kFloat) : x;
}
Tensor rounded(const Tensor& x) {
  return x.defined() ? x.to(at::kBFloat16) : x;
}

/// Pictures [N, …] go through a convolution in groups whose float32 copies a cache holds, rather than all in
/// memory: visit(first, count).
template <class Visit>
void for_groups(std::int64_t pictures, std::int64_t values, const Visit& visit) {
  constexpr std::int64_t kValues = 1 << 22;  // 16 MiB
  const std::int64_t of_picture = std::max<std::int64_t>(1, values / std::max<std::int64_t>(1, pictures));
  const std::int64_t at_once = std::max<std::int64_t>(kValues / of_picture, parallel_threads());
  for (std::int64_t first = 0; first < std::max<std::int64_t>(1, pictures); first += at_once)
    visit(first, std::min(at_once, pictures - first));
}

/// Rounds a group's result into its place in `all`, which the first group makes.
void gather(const Tensor& part, std::int64_t first, std::int64_t pictures, Tensor& all) {
  if (!part.defined()) return;
  if (part.size(0) == pictures) {
    all = rounded(part);
    return;
  }
  if (!all.defined()) {
    std::vector<std::int64_t> sizes = part.sizes().vec();
    sizes[0] = pictures;
    all = at::empty(sizes, part.options().dtype(at::kBFloat16).memory_format(part.suggest_memory_format()));
  }
  all.narrow(0, first, part.size(0)).copy_(part);
}

void add_to(Tensor& sum, const Tensor& part) {
  if (!part.defined()) return;
  if (sum.defined())
    sum.add_(part);
  else
    sum = part;
}

Tensor convolution(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias,
                   IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
                   IntArrayRef output_padding, std::int64_t groups) {
  const auto by = [&](const Tensor& input, const Tensor& w, const c10::optional<Tensor>& b) {
    return at::native::convolution(input, w, b, stride, padding, dilation, transposed, output_padding,
                                   groups);
  };
  if (!is_bfloat16(x) || !is_bfloat16(weight)) return by(x, weight, bias);
  const Tensor wide = widened(weight);
  const auto wide_bias = bias ? c10::make_optional(widened(*bias)) : bias;
  Tensor y;
  const std::int64_t channels = transposed ? weight.size(1) * groups : weight.size(0);
  const std::int64_t outputs = x.numel() / std::max<std::int64_t>(1, x.size(1)) * channels;  // or fewer
  for_groups(x.size(0), x.numel() + outputs, [&](std::int64_t first, std::int64_t count) {
    gather(by(widened(x.narrow(0, first, count)), wide, wide_bias), first, x.size(0), y);
  });
  return y;
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& dy, const Tensor& x, const Tensor& weight, at::OptionalIntArrayRef bias_sizes,
    IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
    IntArrayRef output_padding, std::int64_t groups, std::array<bool, 3> wanted) {
  const auto by = [&](const Tensor& gradient, const Tensor& input, const Tensor& w) {
    return at::native::convolution_backward(gradient, input, w, bias_sizes, stride, padding, dilation,
                                            transposed, output_padding, groups, wanted);
  };
  if (!is_bfloat16(x) || !is_bfloat16(weight)) return by(dy, x, weight);
  const Tensor wide = widened(weight);
  Tensor dx, dw, db;
  for_groups(x.size(0), x.numel() + dy.numel(), [&](std::int64_t first, std::int64_t count) {
    const auto [dx_part, dw_part, db_part] =
        by(widened(dy.narrow(0, first, count)), widened(x.narrow(0, first, count)), wide);
    gather(dx_part, first, x.size(0), dx);
    add_to(dw, dw_part);
    add_to(db, db_part);
  });
  return {dx, rounded(dw), rounded(db)};
}

Tensor mm(const Tensor& a, const Tensor& b) {
  if (!is_bfloat16(a) || !is_bfloat16(b)) return at::cpu::mm(a, b);
  return rounded(at::cpu::mm(widened(a), widened(b)));
}

Tensor addmm(const Tensor& c, const Tensor& a, const Tensor& b, const at::Scalar& beta,
             const at::Scalar& alpha) {
  if (!is_bfloat16(a) || !is_bfloat16(b) || !is_bfloat16(c)) return at::cpu::addmm(c, a, b, beta, alpha);
  return rounded(at::cpu::addmm(widened(c), widened(a), widened(b), beta, alpha));
}

/// LibTorch warns of a kernel that takes another's place, which is what is wanted here.
#if TORCH_VERSION_MAJOR >= 2
namespace warnings = c10::WarningUtils;
class Silence : public c10::WarningHandler {
 public:
  void process(const c10::Warning& /*warning*/) override {}
};
#else
namespace warnings = c10::Warning;
class Silence : public c10::WarningHandler {
 public:
  void process(const c10::SourceLocation& /*from*/, const std::string& /*text*/, bool /*verbatim*/) override {
  }
};
#endif

}  // namespace

bool has_bfloat16_products() {
  // Newer releases tell. They have more processors on which oneDNN has them.
  const auto tell = c10::Dispatcher::singleton().findSchema({"mkldnn::_is_mkldnn_bf16_supported", ""});
  if (tell) return tell->typed<bool()>().call();
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

Float32Products::Float32Products()
    : kernels_(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__) {
  Silence silence;
  const warnings::WarningHandlerGuard guard(&silence);
  kernels_.impl("convolution", convolution);
  kernels_.impl("convolution_backward", convolution_backward);
  kernels_.impl("mm", mm);
  kernels_.impl("addmm", addmm);
}

}  // namespace refnorm::ops
