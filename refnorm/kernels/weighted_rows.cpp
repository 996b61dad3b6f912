#include <refnorm/kernels/weighted_rows.h>

// Highway includes this file again for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "refnorm/kernels/weighted_rows.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes before all that is compiled for each instruction set.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// kVectors vectors of sums at a time, in registers over all rows.
template <int kVectors, class D, class T>
HWY_INLINE void sum_rows(D d, const T* from, std::int64_t stride, const T* weights, std::int64_t rows,
                         T* to) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<D> sums[kVectors];
  for (int v = 0; v < kVectors; ++v) sums[v] = hn::Zero(d);
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto weight = hn::Set(d, weights[i]);
    for (int v = 0; v < kVectors; ++v)
      sums[v] = hn::MulAdd(weight, hn::LoadU(d, from + i * stride + v * lanes), sums[v]);
  }
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[v], d, to + v * lanes);
}

template <class T>
HWY_INLINE void weighted(const T* from, std::int64_t stride, const T* weights, std::int64_t rows, T* to,
                         std::int64_t count) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t k = 0;
  for (; k + 4 * lanes <= count; k += 4 * lanes) sum_rows<4>(d, from + k, stride, weights, rows, to + k);
  for (; k + lanes <= count; k += lanes) sum_rows<1>(d, from + k, stride, weights, rows, to + k);
  for (; k < count; ++k) {
    T sum = 0;
    for (std::int64_t i = 0; i < rows; ++i) sum += weights[i] * from[i * stride + k];
    to[k] = sum;
  }
}

template <class T>
HWY_INLINE void add(T weight, const T* from, T* to, std::int64_t count) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto all = hn::Set(d, weight);
  std::int64_t k = 0;
  for (; k + lanes <= count; k += lanes)
    hn::StoreU(hn::MulAdd(all, hn::LoadU(d, from + k), hn::LoadU(d, to + k)), d, to + k);
  for (; k < count; ++k) to[k] += weight * from[k];
}

void weighted_float(const float* from, std::int64_t stride, const float* weights, std::int64_t rows,
                    float* to, std::int64_t count) {
  weighted(from, stride, weights, rows, to, count);
}
void weighted_double(const double* from, std::int64_t stride, const double* weights, std::int64_t rows,
                     double* to, std::int64_t count) {
  weighted(from, stride, weights, rows, to, count);
}
void add_float(float weight, const float* from, float* to, std::int64_t count) {
  add(weight, from, to, count);
}
void add_double(double weight, const double* from, double* to, std::int64_t count) {
  add(weight, from, to, count);
}

/// As to_bfloat16().
void narrow(const float* from, Bfloat16* to, std::int64_t count) {
  std::int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> d32;
  const hn::Rebind<std::uint16_t, decltype(d)> d16;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (; k + lanes <= count; k += lanes) {
    const auto value = hn::LoadU(d, from + k);
    const auto bits = hn::BitCast(d32, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
    const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
    const auto quiet = hn::Or(bits, hn::Set(d32, 0x400000));
    const auto chosen = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(value)), quiet, rounded);
    hn::StoreU(hn::TruncateTo(d16, hn::ShiftRight<16>(chosen)), d16,
               reinterpret_cast<std::uint16_t*>(to + k));
  }
#endif
  for (; k < count; ++k) to[k] = to_bfloat16(from[k]);
}

void widen(const Bfloat16* from, float* to, std::int64_t count) {
  std::int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> d32;
  const hn::Rebind<std::uint16_t, decltype(d)> d16;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (; k + lanes <= count; k += lanes) {
    const auto half = hn::LoadU(d16, reinterpret_cast<const std::uint16_t*>(from + k));
    hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, half))), d, to + k);
  }
#endif
  for (; k < count; ++k) to[k] = to_float(from[k]);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <algorithm>

namespace refnorm::kernels {

HWY_EXPORT(weighted_float);
HWY_EXPORT(weighted_double);
HWY_EXPORT(add_float);
HWY_EXPORT(add_double);
HWY_EXPORT(narrow);
HWY_EXPORT(widen);

void weighted_rows(const float* from, std::int64_t stride, const float* weights, std::int64_t rows, float* to,
                   std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(weighted_float)(from, stride, weights, rows, to, count);
}
void weighted_rows(const double* from, std::int64_t stride, const double* weights, std::int64_t rows,
                   double* to, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(weighted_double)(from, stride, weights, rows, to, count);
}
void add_weighted(float weight, const float* from, float* to, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(add_float)(weight, from, to, count);
}
void add_weighted(double weight, const double* from, double* to, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(add_double)(weight, from, to, count);
}
void convert_values(const float* from, float* to, std::int64_t count) {
  std::copy_n(from, count, to);
}
void convert_values(const double* from, double* to, std::int64_t count) {
  std::copy_n(from, count, to);
}
void convert_values(const float* from, Bfloat16* to, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(narrow)(from, to, count);
}
void convert_values(const Bfloat16* from, float* to, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(widen)(from, to, count);
}

}  // namespace refnorm::kernels

#endif
