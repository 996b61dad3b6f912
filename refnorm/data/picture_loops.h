#pragma once

#include <cstdint>

#include <refnorm/data/resample.h>

namespace refnorm::data {

// The loops over pixels, in SIMD chosen at run time. Products and sums are rounded one by one and in the same
// order everywhere, so that pictures are the same bits with every instruction set.

/// out[i] = sum over k of weights[k] · rows[k · stride + i], for `count` values, a multiple of 4.
void sum_rows(const std::uint8_t* rows, std::int64_t stride, const ResizeAxis::Taps& taps, std::int64_t count,
              float* out);

/// Pixels of four values along a line whose first one is the axis's lowest: out has columns.size() of them.
void sum_columns(const float* line, const ResizeAxis& columns, float* out);

/// How values of 0 … 255 or 0 … 1 become a network's: v · scale + shift, of each colour.
struct ColourScale {
  float scale[3], shift[3];
};

/// A row of `count` pixels of four values, or its mirror image, as three rows `plane` values apart; plane 0:
/// as pixels of three values.
void write_row(const float* pixels, std::int64_t count, const ColourScale& how, bool mirrored,
               std::int64_t plane, float* out);

}  // namespace refnorm::data
