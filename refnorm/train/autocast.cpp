#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include <refnorm/ops/float32_products.h>
#include <refnorm/train/autocast.h>

namespace refnorm::train {
namespace {

void enable(torch::Device device, bool on) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_enabled(device.type(), on);
  at::autocast::set_autocast_dtype(device.type(), at::kBFloat16);
#else
  if (device.is_cuda()) {
    at::autocast::set_enabled(on);
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
  } else {
    at::autocast::set_cpu_enabled(on);
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
  }
#endif
}

void ensure_products(torch::Device device) {
  if (!device.is_cpu() || ops::has_bfloat16_products()) return;
  // It outlives all that may still compute at the program's end.
  static const auto* in_float32 = new ops::Float32Products();
  (void)in_float32;
}

}  // namespace

Bfloat16Scope::Bfloat16Scope(bool on, torch::Device device) : on_(on), device_(device) {
  if (!on_) return;
  ensure_products(device_);
  enable(device_, true);
  at::autocast::increment_nesting();
}

Bfloat16Scope::~Bfloat16Scope() {
  if (!on_) return;
  // The cache holds bfloat16 copies of the weights of this step.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  enable(device_, false);
}

}  // namespace refnorm::train
