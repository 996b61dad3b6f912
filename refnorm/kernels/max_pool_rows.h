#pragma once

#include <cstdint>

#include <refnorm/kernels/bfloat16.h>

namespace refnorm::kernels {

/// Maximum pooling of pictures [height, width, channels] (channels_last) over square windows of `kernel` by
/// `kernel`, at most 15; beyond the border there is nothing.
struct PoolWindow {
  std::int64_t kernel = 2, stride = 2, padding = 0;
  std::int64_t outputs(std::int64_t inputs) const { return (inputs + 2 * padding - kernel) / stride + 1; }
};
struct PoolShape {
  std::int64_t pictures = 0, height = 0, width = 0, channels = 0;
};

/// y[pictures, outputs(height), outputs(width), channels] and which of its window each value was: row ·
/// kernel + column. The first of equal ones; the last NaN where there is one, as LibTorch has it.
/// Instantiated for float and Bfloat16. Requires at least one value in each window.
template <class T>
void max_pool_rows(const T* x, T* y, std::uint8_t* which, const PoolShape& shape, const PoolWindow& window);

/// Its gradient: dx gets the sum, in float32, of dy where it was the maximum.
template <class T>
void max_pool_rows_backward(const T* dy, const std::uint8_t* which, T* dx, const PoolShape& shape,
                            const PoolWindow& window);

}  // namespace refnorm::kernels
