#pragma once

#include <torch/library.h>

namespace refnorm::ops {

/// Whether LibTorch computes products of bfloat16 matrices and convolutions on this processor's vectors, by
/// oneDNN. On x86 it takes AVX-512 (BW, DQ, VL) for that. Elsewhere plain loops do the work, tens of times
/// slower than in float32.
bool has_bfloat16_products();

/// While it lives, LibTorch's convolutions, their gradients and its products of matrices (mm, addmm) of
/// bfloat16 tensors on the CPU are computed in float32, in all threads: operands are widened, which is exact,
/// and the result is rounded to bfloat16 once, as by a processor that multiplies bfloat16 and sums in
/// float32. Everything else, and every other dtype, goes LibTorch's own way.
class Float32Products {
 public:
  Float32Products();
  ~Float32Products() = default;
  Float32Products(const Float32Products&) = delete;
  Float32Products& operator=(const Float32Products&) = delete;

 private:
  torch::Library kernels_;
};

}  // namespace refnorm::ops
