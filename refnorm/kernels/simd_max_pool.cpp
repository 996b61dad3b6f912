#include <refnorm/kernels/max_pool.h>

// Highway includes this file again for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "refnorm/kernels/simd_max_pool.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes before all that is compiled for each instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
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
void pool_rows(D d, const float* upper, const float* lower, float* y, std::uint8_t* which,
               std::int64_t count) {
  const hn::RebindToUnsigned<D> d32;
  const hn::Rebind<std::uint8_t, D> d8;
  for_each_vector(count, static_cast<std::int64_t>(hn::Lanes(d)), [&](std::int64_t i) HWY_ATTR {
    hn::Vec<D> values[4];
    hn::LoadInterleaved2(d, upper + 2 * i, values[0], values[1]);
    hn::LoadInterleaved2(d, lower + 2 * i, values[2], values[3]);
    auto best = values[0];
    auto place = hn::Zero(d32);
    for (std::uint32_t k = 1; k < 4; ++k) {
      const auto larger = hn::Or(hn::Gt(values[k], best), hn::IsNaN(values[k]));
      best = hn::IfThenElse(larger, values[k], best);
      place = hn::IfThenElse(hn::RebindMask(d32, larger), hn::Set(d32, k), place);
    }
    hn::StoreU(best, d, y + i);
    hn::StoreU(hn::TruncateTo(d8, place), d8, which + i);
  });
}

template <class D>
void spread_rows(D d, const float* dy, const std::uint8_t* which, float* upper, float* lower,
                 std::int64_t count) {
  const hn::RebindToUnsigned<D> d32;
  const hn::Rebind<std::uint8_t, D> d8;
  for_each_vector(count, static_cast<std::int64_t>(hn::Lanes(d)), [&](std::int64_t i) HWY_ATTR {
    const auto g = hn::LoadU(d, dy + i);
    const auto place = hn::PromoteTo(d32, hn::LoadU(d8, which + i));
    const auto at = [&](std::uint32_t k) HWY_ATTR {
      return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(place, hn::Set(d32, k))), g);
    };
    hn::StoreInterleaved2(at(0), at(1), d, upper + 2 * i);
    hn::StoreInterleaved2(at(2), at(3), d, lower + 2 * i);
  });
}

/// body(tag) with the widest vectors that a row fills; false where a row is too short for any.
template <class Body>
HWY_INLINE bool with_lanes(std::int64_t count, const Body& body) {
  if (count >= 16) {
    body(hn::CappedTag<float, 16>());
  } else if (count >= 8) {
    body(hn::CappedTag<float, 8>());
  } else if (count >= 4) {
    body(hn::CappedTag<float, 4>());
  } else {
    return false;
  }
  return true;
}

bool pool_row_pair(const float* upper, const float* lower, float* y, std::uint8_t* which,
                   std::int64_t count) {
  return with_lanes(count, [&](auto d) { pool_rows(d, upper, lower, y, which, count); });
}

bool spread_row_pair(const float* dy, const std::uint8_t* which, float* upper, float* lower,
                     std::int64_t count) {
  return with_lanes(count, [&](auto d) { spread_rows(d, dy, which, upper, lower, count); });
}

void max_pool(const float* x, float* y, std::uint8_t* which, std::int64_t planes, std::int64_t height,
              std::int64_t width) {
  const std::int64_t count = width / 2;
  if (count < 4) return max_pool_2x2_plain(x, y, which, planes, height, width);
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    const float* picture = x + plane * height * width;
    for (std::int64_t row = 0; row < height / 2; ++row, y += count, which += count) {
      pool_row_pair(picture + 2 * row * width, picture + (2 * row + 1) * width, y, which, count);
    }
  }
}

void max_pool_backward(const float* dy, const std::uint8_t* which, float* dx, std::int64_t planes,
                       std::int64_t height, std::int64_t width) {
  const std::int64_t count = width / 2;
  if (count < 4) return max_pool_2x2_backward_plain(dy, which, dx, planes, height, width);
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    float* picture = dx + plane * height * width;
    for (std::int64_t row = 0; row < height / 2; ++row, dy += count, which += count) {
      float* upper = picture + 2 * row * width;
      float* lower = upper + width;
      spread_row_pair(dy, which, upper, lower, count);
      if (width % 2 == 1) upper[width - 1] = lower[width - 1] = 0;
    }
    if (height % 2 == 1) {
      for (std::int64_t i = 0; i < width; ++i) picture[(height - 1) * width + i] = 0;
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refnorm::kernels {

HWY_EXPORT(max_pool);
HWY_EXPORT(max_pool_backward);

void max_pool_2x2(const float* x, float* y, std::uint8_t* which, std::int64_t planes, std::int64_t height,
                  std::int64_t width) {
  HWY_DYNAMIC_DISPATCH(max_pool)(x, y, which, planes, height, width);
}

void max_pool_2x2_backward(const float* dy, const std::uint8_t* which, float* dx, std::int64_t planes,
                           std::int64_t height, std::int64_t width) {
  HWY_DYNAMIC_DISPATCH(max_pool_backward)(dy, which, dx, planes, height, width);
}

}  // namespace refnorm::kernels

#endif
