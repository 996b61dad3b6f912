#include <refnorm/data/picture_loops.h>

// Highway includes this file again for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "refnorm/data/simd_picture_loops.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes before all that is compiled for each instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::data {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Calls body(i) so that vectors of `lanes` cover [0, count): the last one overlaps the one before it, which
/// does no harm where outputs follow from inputs alone. count >= lanes.
template <class Body>
HWY_INLINE void for_each_vector(std::int64_t count, std::int64_t lanes, const Body& body) {
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i);
  if (i < count) body(count - lanes);
}

template <class D>
void sum_rows_of(D d, const std::uint8_t* rows, std::int64_t stride, const ResizeAxis::Taps& taps,
                 std::int64_t count, float* out) {
  const hn::Rebind<std::uint8_t, D> d8;
  const hn::Rebind<std::int32_t, D> d32;
  for_each_vector(count, static_cast<std::int64_t>(hn::Lanes(d)), [&](std::int64_t i) HWY_ATTR {
    const std::uint8_t* from = rows + i;
    auto sum = hn::Zero(d);
    for (std::int64_t k = 0; k < taps.count; ++k, from += stride) {
      const auto value = hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, from)));
      sum = hn::Add(sum, hn::Mul(hn::Set(d, taps.weights[k]), value));
    }
    hn::StoreU(sum, d, out + i);
  });
}

void sum_rows(const std::uint8_t* rows, std::int64_t stride, const ResizeAxis::Taps& taps, std::int64_t count,
              float* out) {
  const hn::ScalableTag<float> d;
  if (count >= static_cast<std::int64_t>(hn::Lanes(d))) return sum_rows_of(d, rows, stride, taps, count, out);
  sum_rows_of(hn::CappedTag<float, 4>(), rows, stride, taps, count, out);
}

void sum_columns(const float* line, const ResizeAxis& columns, float* out) {
  const hn::CappedTag<float, 4> d;
  const std::int64_t first = columns.lowest();
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t x = 0; x < columns.size(); ++x, out += 4) {
    const ResizeAxis::Taps taps = columns[x];
    for (std::int64_t c = 0; c < 4; c += lanes) {  // once, but without vectors
      const float* from = line + (taps.from - first) * 4 + c;
      auto sum = hn::Zero(d);
      for (std::int64_t k = 0; k < taps.count; ++k, from += 4)
        sum = hn::Add(sum, hn::Mul(hn::Set(d, taps.weights[k]), hn::LoadU(d, from)));
      hn::StoreU(sum, d, out + c);
    }
  }
}

template <class D>
void write_vectors(D d, const float* pixels, std::int64_t count, const ColourScale& how, bool mirrored,
                   std::int64_t plane, float* out) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for_each_vector(count, lanes, [&](std::int64_t i) HWY_ATTR {
    hn::Vec<D> colours[3];
    hn::Vec<D> unused;
    hn::LoadInterleaved4(d, pixels + 4 * i, colours[0], colours[1], colours[2], unused);
    for (int c = 0; c < 3; ++c) {
      colours[c] = hn::Add(hn::Mul(colours[c], hn::Set(d, how.scale[c])), hn::Set(d, how.shift[c]));
      if (mirrored) colours[c] = hn::Reverse(d, colours[c]);
    }
    const std::int64_t to = mirrored ? count - lanes - i : i;
    if (plane == 0) {
      hn::StoreInterleaved3(colours[0], colours[1], colours[2], d, out + 3 * to);
    } else {
      for (int c = 0; c < 3; ++c) hn::StoreU(colours[c], d, out + c * plane + to);
    }
  });
}

void write_row(const float* pixels, std::int64_t count, const ColourScale& how, bool mirrored,
               std::int64_t plane, float* out) {
  const hn::ScalableTag<float> d;
  if (count >= static_cast<std::int64_t>(hn::Lanes(d)))
    return write_vectors(d, pixels, count, how, mirrored, plane, out);
  write_vectors(hn::CappedTag<float, 1>(), pixels, count, how, mirrored, plane, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace refnorm::data
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace refnorm::data {

HWY_EXPORT(sum_rows);
HWY_EXPORT(sum_columns);
HWY_EXPORT(write_row);

void sum_rows(const std::uint8_t* rows, std::int64_t stride, const ResizeAxis::Taps& taps, std::int64_t count,
              float* out) {
  HWY_DYNAMIC_DISPATCH(sum_rows)(rows, stride, taps, count, out);
}

void sum_columns(const float* line, const ResizeAxis& columns, float* out) {
  HWY_DYNAMIC_DISPATCH(sum_columns)(line, columns, out);
}

void write_row(const float* pixels, std::int64_t count, const ColourScale& how, bool mirrored,
               std::int64_t plane, float* out) {
  HWY_DYNAMIC_DISPATCH(write_row)(pixels, count, how, mirrored, plane, out);
}

}  // namespace refnorm::data
#endif
