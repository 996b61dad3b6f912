#pragma once

#include <cstdint>

#include <refnorm/kernels/bfloat16.h>

namespace refnorm::kernels {

/// One of a window's values, for all channels: where its first channel is in the array, and which of the
/// window it is.
struct PoolValue {
  std::int64_t at = 0;
  std::uint8_t place = 0;
};

/// For each channel c the largest of x[values[i].at + c] and its place: the first of equal ones; the last NaN
/// where there is one. With the machine's vectors, as the other one. count >= 1. Float and Bfloat16.
template <class T>
void largest_of(const T* x, const PoolValue* values, std::int64_t count, T* y, std::uint8_t* which,
                std::int64_t channels);

/// For each channel c the sum, in float32, of those dy[values[i].at + c] whose which[values[i].at + c] is
/// values[i].place. count >= 0.
template <class T>
void sum_of_chosen(const T* dy, const std::uint8_t* which, const PoolValue* values, std::int64_t count, T* dx,
                   std::int64_t channels);

}  // namespace refnorm::kernels
