#pragma once

#include <cstdint>

#include <refnorm/kernels/bfloat16.h>

namespace refnorm::kernels {

// With the machine's vectors; each for float and double.

/// to[k] = sum of weights[i] · from[i · stride + k] over i < rows, for k < count.
void weighted_rows(const float* from, std::int64_t stride, const float* weights, std::int64_t rows, float* to,
                   std::int64_t count);
void weighted_rows(const double* from, std::int64_t stride, const double* weights, std::int64_t rows,
                   double* to, std::int64_t count);

/// to[k] += weight · from[k].
void add_weighted(float weight, const float* from, float* to, std::int64_t count);
void add_weighted(double weight, const double* from, double* to, std::int64_t count);

/// Copies `count` values; to bfloat16 rounded to nearest, ties to even.
void convert_values(const float* from, float* to, std::int64_t count);
void convert_values(const double* from, double* to, std::int64_t count);
void convert_values(const float* from, Bfloat16* to, std::int64_t count);
void convert_values(const Bfloat16* from, float* to, std::int64_t count);

}  // namespace refnorm::kernels
