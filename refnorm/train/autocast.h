#pragma once

#include <torch/types.h>

namespace refnorm::train {

/// While it lives, and if `on`, operators that profit run in bfloat16 on this thread (autocast). The one
/// place that knows how LibTorch's releases spell it.
class Bfloat16Scope {
 public:
  Bfloat16Scope(bool on, torch::Device device);
  ~Bfloat16Scope();
  Bfloat16Scope(const Bfloat16Scope&) = delete;
  Bfloat16Scope& operator=(const Bfloat16Scope&) = delete;

 private:
  bool on_;
  torch::Device device_;
};

/// Whether LibTorch's bfloat16 convolutions are oneDNN's. They are not on x86 processors without AVX-512 (BW,
/// DQ, VL): there plain loops do the work, many times slower than float32.
bool has_bfloat16_convolutions(torch::Device device);

}  // namespace refnorm::train
