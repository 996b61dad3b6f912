#include <refnorm/kernels/pool_channels.h>

// Highway includes this file again for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "refnorm/kernels/simd_pool_channels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes before all that is compiled for each instruction set.
#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
#include <refnorm/kernels/simd_packs-inl.h>
#endif

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

inline float value_of(float value) {
  return value;
}
inline float value_of(Bfloat16 value) {
  return to_float(value);
}
inline void round_to(float value, float& to) {
  to = value;
}
inline void round_to(float value, Bfloat16& to) {
  to = to_bfloat16(value);
}

template <class T>
void largest_of_one(const T* x, const PoolValue* values, std::int64_t count, T* y, std::uint8_t* which,
                    std::int64_t c) {
  T best = x[values[0].at + c];
  std::uint8_t place = values[0].place;
  for (std::int64_t i = 1; i < count; ++i) {
    const T next = x[values[i].at + c];
    if (!(value_of(next) > value_of(best)) && !std::isnan(value_of(next))) continue;
    best = next;
    place = values[i].place;
  }
  y[c] = best;
  which[c] = place;
}

template <class T>
void sum_of_one(const T* dy, const std::uint8_t* which, const PoolValue* values, std::int64_t count, T* dx,
                std::int64_t c) {
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i)
    if (which[values[i].at + c] == values[i].place) sum += value_of(dy[values[i].at + c]);
  round_to(sum, dx[c]);
}

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

template <class T>
void largest(const T* x, const PoolValue* values, std::int64_t count, T* y, std::uint8_t* which,
             std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) largest_of_one(x, values, count, y, which, c);
}

template <class T>
void chosen(const T* dy, const std::uint8_t* which, const PoolValue* values, std::int64_t count, T* dx,
            std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) sum_of_one(dy, which, values, count, dx, c);
}

#else

/// Places of a pack's values, a word each, in the order of the pack.
template <class T>
struct Places {
  hn::Vec<WordTag> part[kParts<T>];
};
/// As memory has them, a byte each.
template <class T>
using PlaceTag = hn::Rebind<std::uint8_t, MemoryTag<T> >;

template <class T>
HWY_INLINE Places<T> load_places(const std::uint8_t* from) {
  const auto bytes = hn::LoadU(PlaceTag<T>(), from);
  if constexpr (kIsBfloat16<T>) {
    const WordTag d32;
    const auto words = hn::BitCast(d32, hn::PromoteTo(HalfTag(), bytes));
    return {{hn::And(words, hn::Set(d32, 0xffff)), hn::ShiftRight<16>(words)}};
  } else {
    return {{hn::PromoteTo(WordTag(), bytes)}};
  }
}
template <class T>
HWY_INLINE void store_places(const Places<T>& places, std::uint8_t* to) {
  const PlaceTag<T> d8;
  if constexpr (kIsBfloat16<T>) {
    const auto words = hn::Or(places.part[0], hn::ShiftLeft<16>(places.part[1]));
    hn::StoreU(hn::TruncateTo(d8, hn::BitCast(HalfTag(), words)), d8, to);
  } else {
    hn::StoreU(hn::TruncateTo(d8, places.part[0]), d8, to);
  }
}

template <class T>
void largest(const T* x, const PoolValue* values, std::int64_t count, T* y, std::uint8_t* which,
             std::int64_t channels) {
  const WordTag d32;
  std::int64_t c = 0;
  for (; c + kLanes<T> <= channels; c += kLanes<T>) {
    Pack<T> best = load(x + values[0].at + c, Whole());
    Places<T> places;
    for (auto& part : places.part) part = hn::Set(d32, values[0].place);
    for (std::int64_t i = 1; i < count; ++i) {
      const Pack<T> next = load(x + values[i].at + c, Whole());
      for (int p = 0; p < kParts<T>; ++p) {
        const auto take = hn::Or(hn::Gt(next.part[p], best.part[p]), hn::IsNaN(next.part[p]));
        best.part[p] = hn::IfThenElse(take, next.part[p], best.part[p]);
        places.part[p] =
            hn::IfThenElse(hn::RebindMask(d32, take), hn::Set(d32, values[i].place), places.part[p]);
      }
    }
    if constexpr (kIsBfloat16<T>) {
      // To the bit, NaNs too: nothing was computed, and nothing is to be rounded.
      const auto even = hn::ShiftRight<16>(hn::BitCast(d32, best.part[0]));
      const auto odd = hn::BitCast(d32, best.part[kParts<T> - 1]);
      store_memory<T>(hn::BitCast(HalfTag(), hn::Or(even, odd)), y + c, Whole());
    } else {
      store_memory<T>(best.part[0], y + c, Whole());
    }
    store_places<T>(places, which + c);
  }
  for (; c < channels; ++c) largest_of_one(x, values, count, y, which, c);
}

template <class T>
void chosen(const T* dy, const std::uint8_t* which, const PoolValue* values, std::int64_t count, T* dx,
            std::int64_t channels) {
  const Tag<T> d;
  const WordTag d32;
  std::int64_t c = 0;
  for (; c + kLanes<T> <= channels; c += kLanes<T>) {
    Pack<T> sum = zeros<T>();
    for (std::int64_t i = 0; i < count; ++i) {
      const Pack<T> g = load(dy + values[i].at + c, Whole());
      const Places<T> places = load_places<T>(which + values[i].at + c);
      for (int p = 0; p < kParts<T>; ++p) {
        const auto is_it = hn::Eq(places.part[p], hn::Set(d32, values[i].place));
        sum.part[p] = hn::Add(sum.part[p], hn::IfThenElseZero(hn::RebindMask(d, is_it), g.part[p]));
      }
    }
    store(sum, dx + c, Whole());
  }
  for (; c < channels; ++c) sum_of_one(dy, which, values, count, dx, c);
}

#endif

void largest_float(const float* x, const PoolValue* values, std::int64_t count, float* y, std::uint8_t* which,
                   std::int64_t channels) {
  largest(x, values, count, y, which, channels);
}
void largest_bfloat16(const Bfloat16* x, const PoolValue* values, std::int64_t count, Bfloat16* y,
                      std::uint8_t* which, std::int64_t channels) {
  largest(x, values, count, y, which, channels);
}
void chosen_float(const float* dy, const std::uint8_t* which, const PoolValue* values, std::int64_t count,
                  float* dx, std::int64_t channels) {
  chosen(dy, which, values, count, dx, channels);
}
void chosen_bfloat16(const Bfloat16* dy, const std::uint8_t* which, const PoolValue* values,
                     std::int64_t count, Bfloat16* dx, std::int64_t channels) {
  chosen(dy, which, values, count, dx, channels);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refnorm::kernels {

HWY_EXPORT(largest_float);
HWY_EXPORT(largest_bfloat16);
HWY_EXPORT(chosen_float);
HWY_EXPORT(chosen_bfloat16);

template <>
void largest_of(const float* x, const PoolValue* values, std::int64_t count, float* y, std::uint8_t* which,
                std::int64_t channels) {
  HWY_DYNAMIC_DISPATCH(largest_float)(x, values, count, y, which, channels);
}
template <>
void largest_of(const Bfloat16* x, const PoolValue* values, std::int64_t count, Bfloat16* y,
                std::uint8_t* which, std::int64_t channels) {
  HWY_DYNAMIC_DISPATCH(largest_bfloat16)(x, values, count, y, which, channels);
}
template <>
void sum_of_chosen(const float* dy, const std::uint8_t* which, const PoolValue* values, std::int64_t count,
                   float* dx, std::int64_t channels) {
  HWY_DYNAMIC_DISPATCH(chosen_float)(dy, which, values, count, dx, channels);
}
template <>
void sum_of_chosen(const Bfloat16* dy, const std::uint8_t* which, const PoolValue* values, std::int64_t count,
                   Bfloat16* dx, std::int64_t channels) {
  HWY_DYNAMIC_DISPATCH(chosen_bfloat16)(dy, which, values, count, dx, channels);
}

}  // namespace refnorm::kernels

#endif
