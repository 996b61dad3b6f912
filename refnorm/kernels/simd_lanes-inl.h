// What all vector sweeps share: lanes of a value type, and one step of each sweep that works value by value.
// Included once for each instruction set, hence the guard that toggles.
#if defined(REFNORM_KERNELS_SIMD_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef REFNORM_KERNELS_SIMD_LANES_INL_H
#undef REFNORM_KERNELS_SIMD_LANES_INL_H
#else
#define REFNORM_KERNELS_SIMD_LANES_INL_H
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
constexpr std::int64_t kLanes = hn::MaxLanes(Tag<T>());
template <class T>
constexpr bool kIsBfloat16 = std::is_same_v<T, Bfloat16>;

template <int kIndex>
using Index = std::integral_constant<int, kIndex>;

/// How much of a vector lies inside an array: all of it, or its first `count` lanes.
struct Whole {};
/// All of it, and the output is written past the caches.
struct Streamed : Whole {};
struct Part {
  std::int64_t count;
};

/// Whether the processor itself skips the lanes outside a part. Highway's own stand-in touches them, and so
/// would read past the end of an array and write back what another thread may just have changed.
template <class T>
constexpr bool kSkipsLanes =
#if HWY_ARCH_X86
    HWY_TARGET <= HWY_AVX3 || (HWY_TARGET == HWY_AVX2 && sizeof(T) >= 4);
#else
    false;
#endif

template <class T>
using HalfTag = hn::Rebind<std::uint16_t, Tag<T>>;
template <class T>
using WordTag = hn::Rebind<std::uint32_t, Tag<T>>;

HWY_INLINE Vector<Bfloat16> widen(hn::Vec<HalfTag<Bfloat16>> halves) {
  return hn::BitCast(Tag<Bfloat16>(), hn::ShiftLeft<16>(hn::PromoteTo(WordTag<Bfloat16>(), halves)));
}

/// As to_bfloat16(), bit by bit.
HWY_INLINE hn::Vec<HalfTag<Bfloat16>> narrow(Vector<Bfloat16> values) {
  const WordTag<Bfloat16> d32;
  const auto bits = hn::BitCast(d32, values);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(d32, 0x400000));
  const auto words = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(values)), quiet, rounded);
  return hn::TruncateTo(HalfTag<Bfloat16>(), hn::ShiftRight<16>(words));
}

template <class T>
HWY_INLINE Vector<T> load(const T* from, Whole) {
  if constexpr (kIsBfloat16<T>) {
    return widen(hn::LoadU(HalfTag<T>(), &from->bits));
  } else {
    return hn::LoadU(Tag<T>(), from);
  }
}

/// The lanes outside the part are zero.
template <class T>
HWY_INLINE Vector<T> load(const T* from, Part part) {
  const auto count = static_cast<std::size_t>(part.count);
  if constexpr (!kSkipsLanes<T>) {
    T whole[kLanes<T>] = {};
    for (std::size_t i = 0; i < count; ++i) whole[i] = from[i];
    return load(static_cast<const T*>(whole), Whole());
  } else if constexpr (kIsBfloat16<T>) {
    const HalfTag<T> d16;
    return widen(hn::MaskedLoad(hn::FirstN(d16, count), d16, &from->bits));
  } else {
    return hn::MaskedLoad(hn::FirstN(Tag<T>(), count), Tag<T>(), from);
  }
}

template <class T>
HWY_INLINE void store(Vector<T> values, T* to, Whole) {
  if constexpr (kIsBfloat16<T>) {
    hn::StoreU(narrow(values), HalfTag<T>(), &to->bits);
  } else {
    hn::StoreU(values, Tag<T>(), to);
  }
}

template <class T>
HWY_INLINE void store(Vector<T> values, T* to, Part part) {
  const auto count = static_cast<std::size_t>(part.count);
  if constexpr (!kSkipsLanes<T>) {
    T whole[kLanes<T>];
    store(values, static_cast<T*>(whole), Whole());
    for (std::size_t i = 0; i < count; ++i) to[i] = whole[i];
  } else if constexpr (kIsBfloat16<T>) {
    const HalfTag<T> d16;
    hn::BlendedStore(narrow(values), hn::FirstN(d16, count), d16, &to->bits);
  } else {
    hn::BlendedStore(values, hn::FirstN(Tag<T>(), count), Tag<T>(), to);
  }
}

/// `to` begins a cache line. Lines are written as wholes by float32 and double vectors only.
template <class T>
HWY_INLINE void store(Vector<T> values, T* to, Streamed) {
  if constexpr (kIsBfloat16<T>) {
    store(values, to, Whole());
  } else {
    hn::Stream(values, Tag<T>(), to);
  }
}

/// Zero in the lanes outside.
template <class T>
HWY_INLINE Vector<T> inside(Vector<T> values, Whole) {
  return values;
}
template <class T>
HWY_INLINE Vector<T> inside(Vector<T> values, Part part) {
  return hn::IfThenElseZero(hn::FirstN(Tag<T>(), static_cast<std::size_t>(part.count)), values);
}

/// The sum of four vectors' lanes, the lanes in double.
template <class T>
HWY_INLINE double total(const Vector<T> (&sums)[4]) {
  const auto sum = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  const hn::ScalableTag<double> d64;
  if constexpr (std::is_same_v<T, double>) {
    return hn::GetLane(hn::SumOfLanes(d64, sum));
  } else {
    const hn::Half<Tag<T>> half;
    const auto low = hn::PromoteTo(d64, hn::LowerHalf(half, sum));
    const auto high = hn::PromoteTo(d64, hn::UpperHalf(half, sum));
    return hn::GetLane(hn::SumOfLanes(d64, hn::Add(low, high)));
  }
}

/// body(i, W or Part) for each vector of an array of `length` values; W is Whole or Streamed.
template <class T, class W, class Body>
HWY_INLINE void for_each_vector(std::int64_t length, W whole, const Body& body) {
  std::int64_t i = 0;
  for (; i + kLanes<T> <= length; i += kLanes<T>) body(i, whole);
  if (i < length) body(i, Part{length - i});
}

constexpr std::uintptr_t kCacheLine = 64;

template <class T>
HWY_INLINE bool begins_line(const T* at) {
  return reinterpret_cast<std::uintptr_t>(at) % kCacheLine == 0;
}

/// The same, Streamed where `stream` is set and worth it.
template <class T, class Body>
HWY_INLINE void for_each_output_vector(std::int64_t length, bool stream, const Body& body) {
  if (stream && !kIsBfloat16<T>) {
    for_each_vector<T>(length, Streamed(), body);
  } else {
    for_each_vector<T>(length, Whole(), body);
  }
}

/// Merges the moments of `count` values into those of `before` values: the weights of Chan's formulas.
struct Merge {
  Merge(double before, double count)
      : mean(count / (before + count)), square(before * (count / (before + count))) {}
  double mean;
  double square;
};

/// Whether sums of (x − guess) and (x − guess)^2 over `count` values tell the mean and the sum of squares
/// about it as well as sums about the mean would, but for a factor of 5 in rounding: the guess is within two
/// deviations.
HWY_INLINE bool close_enough(double sum, double square, double count) {
  const double shift = sum * sum / count;
  // In this form what is not finite passes: another pass would not mend it.
  return !(shift > 4 * (square - shift));
}

/// One vector's worth of y = scale · (x − centre) + shift. `apply` and the gate of the gradient both call it,
/// so they contract it in the same way.
template <class T>
struct Affine {
  HWY_INLINE Vector<T> operator()(Vector<T> x) const { return hn::MulAdd(scale, hn::Sub(x, centre), shift); }
  Vector<T> centre;
  Vector<T> scale;
  Vector<T> shift;
};

template <class T>
struct ApplyArrays {
  const T* x;
  const T* residual;
  T* y;
  bool stream;
  HWY_INLINE bool streams(std::int64_t at) const { return stream && begins_line(y + at); }
};

template <class T, bool kRelu, class Span>
HWY_INLINE void apply_step(const ApplyArrays<T>& arrays, std::int64_t at, Span span,
                           const Affine<T>& affine) {
  auto value = affine(load(arrays.x + at, span));
  if (arrays.residual != nullptr) value = hn::Add(value, load(arrays.residual + at, span));
  if constexpr (kRelu) value = hn::IfThenZeroElse(hn::Le(value, hn::Zero(Tag<T>())), value);
  store(value, arrays.y + at, span);
}

/// What decides whether a gradient passes.
enum class Gate { kOpen, kOutput, kInput };

template <class T>
struct GradientArrays {
  const T* x;
  const T* dy;
  const T* y;
  T* dx;
  T* dresidual;
  bool stream;
  HWY_INLINE bool streams(std::int64_t at) const {
    return stream && (dx == nullptr || begins_line(dx + at)) &&
           (dresidual == nullptr || begins_line(dresidual + at));
  }
};

template <class T>
struct GradientStep {
  Vector<T> g_scale;
  Vector<T> x_scale;
  Vector<T> shift;
};

template <class T, Gate kGate, class Span>
HWY_INLINE Vector<T> gate_step(const GradientArrays<T>& arrays, std::int64_t at, Span span, Vector<T> x,
                               const Affine<T>& affine) {
  const auto g = load(arrays.dy + at, span);
  const auto zero = hn::Zero(Tag<T>());
  if constexpr (kGate == Gate::kOutput) {
    return hn::IfThenZeroElse(hn::Le(load(arrays.y + at, span), zero), g);
  } else if constexpr (kGate == Gate::kInput) {
    return hn::IfThenZeroElse(hn::Le(affine(x), zero), g);
  } else {
    return g;
  }
}

template <class T, Gate kGate, class Span>
HWY_INLINE void gradient_step(const GradientArrays<T>& arrays, std::int64_t at, Span span,
                              const Affine<T>& affine, const GradientStep<T>& by) {
  const bool reads_x = kGate == Gate::kInput || arrays.dx != nullptr;
  const auto x = reads_x ? load(arrays.x + at, span) : hn::Zero(Tag<T>());
  const auto g = gate_step<T, kGate>(arrays, at, span, x, affine);
  if (arrays.dresidual != nullptr) store(g, arrays.dresidual + at, span);
  if (arrays.dx == nullptr) return;
  const auto rest = hn::MulAdd(by.x_scale, hn::Sub(x, affine.centre), by.shift);
  store(hn::MulAdd(by.g_scale, g, rest), arrays.dx + at, span);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#endif
