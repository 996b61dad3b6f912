#pragma once

#include <cstdint>

namespace refnorm::kernels {

/// Maximum pooling over windows of 2x2 with stride 2 of `planes` pictures of height x width: outputs of
/// [planes, height/2, width/2] (rounded down; what is left over is in no window), and which value of its
/// window each was: 0 and 1 in the upper row, 2 and 3 in the lower. The first of equal ones; the last NaN
/// where there is one, as LibTorch has it. With the machine's vectors.
void max_pool_2x2(const float* x, float* y, std::uint8_t* which, std::int64_t planes, std::int64_t height,
                  std::int64_t width);

/// Its gradient: dx of [planes, height, width] gets dy where the maximum was, and 0 elsewhere.
void max_pool_2x2_backward(const float* dy, const std::uint8_t* which, float* dx, std::int64_t planes,
                           std::int64_t height, std::int64_t width);

/// The same by plain loops. Instantiated for float and double.
template <class T>
void max_pool_2x2_plain(const T* x, T* y, std::uint8_t* which, std::int64_t planes, std::int64_t height,
                        std::int64_t width);
template <class T>
void max_pool_2x2_backward_plain(const T* dy, const std::uint8_t* which, T* dx, std::int64_t planes,
                                 std::int64_t height, std::int64_t width);

}  // namespace refnorm::kernels
