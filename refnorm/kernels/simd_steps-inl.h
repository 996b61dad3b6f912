// One step of each sweep, for a pack of values, and what it takes to merge moments. Included once for each
// instruction set, hence the guard that toggles.
#if defined(REFNORM_KERNELS_SIMD_STEPS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef REFNORM_KERNELS_SIMD_STEPS_INL_H
#undef REFNORM_KERNELS_SIMD_STEPS_INL_H
#else
#define REFNORM_KERNELS_SIMD_STEPS_INL_H
#endif

#include <refnorm/kernels/simd_packs-inl.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

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

/// One pack's worth of y = scale · (x − centre) + shift. `apply` and the gate of the gradient both call it,
/// so they contract it in the same way.
template <class T>
struct Affine {
  HWY_INLINE Pack<T> operator()(const Pack<T>& x) const { return mul_add(scale, sub(x, centre), shift); }
  Pack<T> centre;
  Pack<T> scale;
  Pack<T> shift;
};

/// Into the second-level cache: this work fills the first one.
template <class T>
HWY_INLINE void prefetch_ahead(const T* at) {
  __builtin_prefetch(at, 0, 2);
}

/// Packs that begin lines of the array begin bytes of the gate, too, where there is one.
template <class T>
HWY_INLINE bool gates_begin_lines(const std::uint8_t* gate, const T* array) {
  return gate == nullptr || values_to_line(array) % 8 == 0;
}

template <class T>
struct ApplyArrays {
  /// The array whose lines count where outputs are written past the caches; null where none is.
  T* streamed() const { return caching.stream && gates_begin_lines(gate, y) ? y : nullptr; }

  const T* x;
  const T* residual;
  T* y;
  std::uint8_t* gate;
  Caching caching;
};

template <class T, bool kRelu, class Span>
HWY_INLINE void apply_step(const ApplyArrays<T>& arrays, std::int64_t at, Span span,
                           const Affine<T>& affine) {
  prefetch_ahead(arrays.x + at + arrays.caching.ahead);
  auto value = affine(load(arrays.x + at, span));
  if (arrays.residual != nullptr) {
    prefetch_ahead(arrays.residual + at + arrays.caching.ahead);
    value = add(value, load(arrays.residual + at, span));
  }
  if constexpr (kRelu) value = gate(value, value);
  const auto out = packed<T>(value);
  store_memory<T>(out, arrays.y + at, span);
  if constexpr (kRelu && kHasGates<T>) {
    // What did not pass is a zero now; what did and rounds to zero could as well not have passed.
    if (arrays.gate == nullptr) return;
    // Ne() would say of NaN, which passes, that it is not unequal.
    store_gate<T>(hn::Not(hn::Eq(out, hn::Zero(MemoryTag<T>()))), arrays.gate + at / 8, span);
  }
}

/// What decides whether a gradient passes.
enum class Gate { kOpen, kOutput, kInput, kBits };

template <class T>
struct GradientArrays {
  T* streamed() const {
    T* const first = dx != nullptr ? dx : dresidual;
    if (!caching.stream || !gates_begin_lines(gate, first)) return nullptr;
    return dresidual == nullptr || values_to_line(first) == values_to_line(dresidual) ? first : nullptr;
  }

  const T* x;
  const T* dy;
  const T* y;
  const std::uint8_t* gate;
  T* dx;
  T* dresidual;
  Caching caching;
};

template <class T>
struct GradientStep {
  Pack<T> g_scale;
  Pack<T> x_scale;
  Pack<T> shift;
};

template <class T, Gate kGate, class Span>
HWY_INLINE Pack<T> gate_step(const GradientArrays<T>& arrays, std::int64_t at, Span span, const Pack<T>& x,
                             const Affine<T>& affine) {
  if constexpr (kGate == Gate::kBits && kHasGates<T>) {
    // Reads whole vectors' bits: gates are that much longer than they need be.
    const auto passes = hn::LoadMaskBits(MemoryTag<T>(), arrays.gate + at / 8);
    return unpacked<T>(hn::IfThenElseZero(passes, load_memory(arrays.dy + at, span)));
  }
  const auto g = load(arrays.dy + at, span);
  if constexpr (kGate == Gate::kOutput) {
    return gate(load(arrays.y + at, span), g);
  } else if constexpr (kGate == Gate::kInput) {
    return gate(affine(x), g);
  } else {
    return g;
  }
}

template <class T, Gate kGate, class Span>
HWY_INLINE void gradient_step(const GradientArrays<T>& arrays, std::int64_t at, Span span,
                              const Affine<T>& affine, const GradientStep<T>& by) {
  prefetch_ahead(arrays.x + at + arrays.caching.ahead);
  prefetch_ahead(arrays.dy + at + arrays.caching.ahead);
  if constexpr (kGate == Gate::kOutput) prefetch_ahead(arrays.y + at + arrays.caching.ahead);
  const bool reads_x = kGate == Gate::kInput || arrays.dx != nullptr;
  const auto x = reads_x ? load(arrays.x + at, span) : zeros<T>();
  const auto g = gate_step<T, kGate>(arrays, at, span, x, affine);
  if (arrays.dresidual != nullptr) store(g, arrays.dresidual + at, span);
  if (arrays.dx == nullptr) return;
  const auto rest = mul_add(by.x_scale, sub(x, affine.centre), by.shift);
  store(mul_add(by.g_scale, g, rest), arrays.dx + at, span);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#endif
