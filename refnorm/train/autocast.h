#pragma once

#include <torch/types.h>

namespace refnorm::train {

/// While it lives, and if `on`, operators that profit run in bfloat16 on this thread (autocast). The one
/// place that knows how LibTorch's releases spell it. On a processor without products of bfloat16
/// (ops/float32_products.h) the program computes them in float32 from the first such scope on.
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

}  // namespace refnorm::train
