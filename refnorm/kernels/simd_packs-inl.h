// What one load brings, as numbers to compute with, and how it comes from memory and goes back. Included once
// for each instruction set, hence the guard that toggles.
#if defined(REFNORM_KERNELS_SIMD_PACKS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef REFNORM_KERNELS_SIMD_PACKS_INL_H
#undef REFNORM_KERNELS_SIMD_PACKS_INL_H
#else
#define REFNORM_KERNELS_SIMD_PACKS_INL_H
#endif

#include <cstdint>
#include <type_traits>

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <refnorm/kernels/sweeps.h>

// A lambda that is not inlined would pass its vectors through memory.
#undef REFNORM_LAMBDA
#define REFNORM_LAMBDA HWY_ATTR __attribute__((always_inline))

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class T>
using Tag = hn::ScalableTag<Compute<T>>;
template <class T>
using Vector = hn::Vec<Tag<T>>;
template <class T>
constexpr bool kIsBfloat16 = std::is_same_v<T, Bfloat16>;

template <int kIndex>
using Index = std::integral_constant<int, kIndex>;

/// What one load brings, as numbers to compute with: a vector, or for bfloat16 two of them, the first with
/// every even value and the second with every odd one. Taking 32-bit words apart so costs one operation a
/// vector, and putting them together as little; keeping values in order would cost permutations.
template <class T>
constexpr int kParts = kIsBfloat16<T> ? 2 : 1;
template <class T>
struct Pack {
  Vector<T> part[kParts<T>];
};
/// Lanes of a vector, and values of a pack.
template <class T>
constexpr std::int64_t kVectorLanes = hn::MaxLanes(Tag<T>());
template <class T>
constexpr std::int64_t kLanes = kVectorLanes<T>* kParts<T>;

/// body(packs' parts...) for each part.
template <class T, class Body, class... Packs>
HWY_INLINE Pack<T> each_part(const Body& body, const Packs&... packs) {
  if constexpr (kParts<T> == 1) {
    return {{body(packs.part[0]...)}};
  } else {
    return {{body(packs.part[0]...), body(packs.part[1]...)}};
  }
}

template <class T>
HWY_INLINE Pack<T> zeros() {
  return each_part<T>([]() REFNORM_LAMBDA { return hn::Zero(Tag<T>()); });
}
template <class T>
HWY_INLINE Pack<T> all(Compute<T> value) {
  return each_part<T>([&]() REFNORM_LAMBDA { return hn::Set(Tag<T>(), value); });
}
template <class T>
HWY_INLINE Pack<T> add(const Pack<T>& a, const Pack<T>& b) {
  return each_part<T>([](auto u, auto v) REFNORM_LAMBDA { return hn::Add(u, v); }, a, b);
}
template <class T>
HWY_INLINE Pack<T> sub(const Pack<T>& a, const Pack<T>& b) {
  return each_part<T>([](auto u, auto v) REFNORM_LAMBDA { return hn::Sub(u, v); }, a, b);
}
/// a · b + c
template <class T>
HWY_INLINE Pack<T> mul_add(const Pack<T>& a, const Pack<T>& b, const Pack<T>& c) {
  return each_part<T>([](auto u, auto v, auto w) REFNORM_LAMBDA { return hn::MulAdd(u, v, w); }, a, b, c);
}
/// `values`, but zero where `by` <= 0; where `by` is NaN they stay.
template <class T>
HWY_INLINE Pack<T> gate(const Pack<T>& by, const Pack<T>& values) {
  return each_part<T>([](auto u, auto v)
                          REFNORM_LAMBDA { return hn::IfThenZeroElse(hn::Le(u, hn::Zero(Tag<T>())), v); },
                      by, values);
}
/// The first value.
template <class T>
HWY_INLINE Compute<T> first_of(const Pack<T>& values) {
  return hn::GetLane(values.part[0]);
}
/// The parts' sum.
template <class T>
HWY_INLINE Vector<T> folded(const Pack<T>& values) {
  if constexpr (kParts<T> == 1) {
    return values.part[0];
  } else {
    return hn::Add(values.part[0], values.part[1]);
  }
}

/// How much of a pack lies inside an array: all of it, or its first `count` values.
struct Whole {};
/// All of it, and the output is written past the caches.
struct Streamed : Whole {};
struct Part {
  std::int64_t count;
};

/// Zero in the lanes outside.
template <class T>
HWY_INLINE Pack<T> inside(const Pack<T>& values, Whole) {
  return values;
}
template <class T>
HWY_INLINE Pack<T> inside(const Pack<T>& values, Part part) {
  const Tag<T> d;
  const auto count = static_cast<std::size_t>(part.count);
  if constexpr (kParts<T> == 1) {
    return {{hn::IfThenElseZero(hn::FirstN(d, count), values.part[0])}};
  } else {
    return {{hn::IfThenElseZero(hn::FirstN(d, (count + 1) / 2), values.part[0]),
             hn::IfThenElseZero(hn::FirstN(d, count / 2), values.part[1])}};
  }
}

/// Whether the processor itself skips the lanes outside a part. Highway's own stand-in touches them, and so
/// would read past the end of an array and write back what another thread may just have changed.
template <class T>
constexpr bool kSkipsLanes =
#if HWY_ARCH_X86
    HWY_TARGET <= HWY_AVX3 || (HWY_TARGET == HWY_AVX2 && sizeof(T) >= 4);
#else
    false;
#endif

using HalfTag = hn::ScalableTag<std::uint16_t>;
using WordTag = hn::ScalableTag<std::uint32_t>;

HWY_INLINE Pack<Bfloat16> widen(hn::Vec<HalfTag> halves) {
  const WordTag d32;
  const Tag<Bfloat16> d;
  const auto words = hn::BitCast(d32, halves);
  return {
      {hn::BitCast(d, hn::ShiftLeft<16>(words)), hn::BitCast(d, hn::And(words, hn::Set(d32, 0xffff0000U)))}};
}

/// To nearest, ties to even, as to_bfloat16(). The lower half of a word is what is rounded away. The values
/// come from arithmetic: their NaNs are quiet, and have nothing in the lower half that rounding could carry
/// on, as what they descend from is bfloat16 or a coefficient, whose NaN is the standard one.
HWY_INLINE hn::Vec<WordTag> rounded(Vector<Bfloat16> values) {
  const WordTag d32;
  const auto bits = hn::BitCast(d32, values);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  return hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
}
HWY_INLINE hn::Vec<HalfTag> narrow(const Pack<Bfloat16>& values) {
  const WordTag d32;
  const auto even = hn::ShiftRight<16>(rounded(values.part[0]));
  const auto odd = hn::And(rounded(values.part[1]), hn::Set(d32, 0xffff0000U));
  return hn::BitCast(HalfTag(), hn::Or(even, odd));
}

/// A pack as memory has it, in order.
template <class T>
using MemoryTag = std::conditional_t<kIsBfloat16<T>, HalfTag, Tag<T>>;
template <class T>
using Memory = hn::Vec<MemoryTag<T>>;

template <class T>
HWY_INLINE Pack<T> unpacked(Memory<T> values) {
  if constexpr (kIsBfloat16<T>) {
    return widen(values);
  } else {
    return {{values}};
  }
}
template <class T>
HWY_INLINE Memory<T> packed(const Pack<T>& values) {
  if constexpr (kIsBfloat16<T>) {
    return narrow(values);
  } else {
    return values.part[0];
  }
}
template <class T>
HWY_INLINE auto* lanes(T* at) {
  if constexpr (kIsBfloat16<std::remove_const_t<T>>) {
    return &at->bits;
  } else {
    return at;
  }
}

template <class T>
HWY_INLINE Memory<T> load_memory(const T* from, Whole) {
  return hn::LoadU(MemoryTag<T>(), lanes(from));
}
/// The lanes outside the part are zero.
template <class T>
HWY_INLINE Memory<T> load_memory(const T* from, Part part) {
  const auto count = static_cast<std::size_t>(part.count);
  if constexpr (!kSkipsLanes<T>) {
    T whole[kLanes<T>] = {};
    for (std::size_t i = 0; i < count; ++i) whole[i] = from[i];
    return load_memory(static_cast<const T*>(whole), Whole());
  } else {
    return hn::MaskedLoad(hn::FirstN(MemoryTag<T>(), count), MemoryTag<T>(), lanes(from));
  }
}
template <class T, class Span>
HWY_INLINE Pack<T> load(const T* from, Span span) {
  return unpacked<T>(load_memory(from, span));
}

template <class T>
HWY_INLINE void store_memory(Memory<T> values, T* to, Whole) {
  hn::StoreU(values, MemoryTag<T>(), lanes(to));
}
/// `to` begins a cache line.
template <class T>
HWY_INLINE void store_memory(Memory<T> values, T* to, Streamed) {
  hn::Stream(values, MemoryTag<T>(), lanes(to));
}
template <class T>
HWY_INLINE void store_memory(Memory<T> values, T* to, Part part) {
  const auto count = static_cast<std::size_t>(part.count);
  if constexpr (!kSkipsLanes<T>) {
    T whole[kLanes<T>];
    store_memory<T>(values, static_cast<T*>(whole), Whole());
    for (std::size_t i = 0; i < count; ++i) to[i] = whole[i];
  } else {
    hn::BlendedStore(values, hn::FirstN(MemoryTag<T>(), count), MemoryTag<T>(), lanes(to));
  }
}
template <class T, class Span>
HWY_INLINE void store(const Pack<T>& values, T* to, Span span) {
  store_memory<T>(packed<T>(values), to, span);
}

/// A gate's bits come in whole bytes.
template <class T>
constexpr bool kHasGates = kLanes<T> % 8 == 0;

template <class T>
HWY_INLINE void store_gate(hn::Mask<MemoryTag<T>> passes, std::uint8_t* to, Whole) {
  hn::StoreMaskBits(MemoryTag<T>(), passes, to);
}
template <class T>
HWY_INLINE void store_gate(hn::Mask<MemoryTag<T>> passes, std::uint8_t* to, Part part) {
  std::uint8_t bytes[HWY_MAX_BYTES];
  hn::StoreMaskBits(MemoryTag<T>(), passes, static_cast<std::uint8_t*>(bytes));
  for (std::int64_t i = 0; i < part.count / 8; ++i) to[i] = bytes[i];
}

/// The sum of all lanes, in double.
template <class T>
HWY_INLINE double total(const Vector<T>& lanes) {
  const hn::ScalableTag<double> d64;
  if constexpr (std::is_same_v<T, double>) {
    return hn::GetLane(hn::SumOfLanes(d64, lanes));
  } else {
    const hn::Half<Tag<T>> half;
    const auto low = hn::PromoteTo(d64, hn::LowerHalf(half, lanes));
    const auto high = hn::PromoteTo(d64, hn::UpperHalf(half, lanes));
    return hn::GetLane(hn::SumOfLanes(d64, hn::Add(low, high)));
  }
}
/// The sum of four packs.
template <class T>
HWY_INLINE double total(const Pack<T> (&sums)[4]) {
  return total<T>(folded(add(add(sums[0], sums[1]), add(sums[2], sums[3]))));
}

/// body(i, W or Part) for each pack of an array of `length` values; W is Whole or Streamed.
template <class T, class W, class Body>
HWY_INLINE void for_each_pack(std::int64_t begin, std::int64_t length, W whole, const Body& body) {
  std::int64_t i = begin;
  for (; i + kLanes<T> <= length; i += kLanes<T>) body(i, whole);
  if (i < length) body(i, Part{length - i});
}

constexpr std::int64_t kCacheLine = 64;

/// Values from `at` to the next beginning of a cache line.
template <class T>
HWY_INLINE std::int64_t values_to_line(const T* at) {
  const auto past = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(at) % kCacheLine);
  return (kCacheLine - past) % kCacheLine / static_cast<std::int64_t>(sizeof(T));
}

/// body(i, span) for each pack of `length` values whose outputs begin at `streamed`, or at `at` of it; null:
/// all outputs go through the caches. Others go past them, but for what shares a line with a neighbour.
template <class T, class Body>
HWY_INLINE void for_each_output_pack(std::int64_t length, const T* streamed, std::int64_t at,
                                     const Body& body) {
  if (streamed == nullptr) return for_each_pack<T>(0, length, Whole(), body);
  const std::int64_t head = values_to_line(streamed + at);
  if (head + kLanes < T >> length) return for_each_pack<T>(0, length, Whole(), body);
  for_each_pack<T>(0, head, Whole(), body);
  for_each_pack<T>(head, length, Streamed(), body);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#endif
