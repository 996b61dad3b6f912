#include "bench_floor_loops.h"

// Highway includes this file again for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench_floor_loops.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes before all that is compiled for each instruction set.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::cli {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At most kStreamElements lanes.
using Lanes = hn::CappedTag<std::uint32_t, 16>;

template <int kInputs, int kOutputs, bool kNonTemporal, bool kAhead>
void stream_loop(const StreamSweep& sweep, std::int64_t begin, std::int64_t end) {
  const Lanes d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const auto put = [&](auto values, std::uint32_t* out) {
    if constexpr (kNonTemporal) {
      hn::Stream(values, d, out);
    } else {
      hn::Store(values, d, out);
    }
  };
  auto seen = hn::Zero(d);
  for (std::int64_t i = begin; i < end; i += step) {
    if constexpr (kAhead) {
      for (int k = 0; k < kInputs; ++k) __builtin_prefetch(sweep.in[k] + i + sweep.ahead, 0, 2);
    }
    auto values = hn::Load(d, sweep.in[0] + i);
    if constexpr (kInputs > 1) values = hn::Xor(values, hn::Load(d, sweep.in[1] + i));
    if constexpr (kInputs > 2) values = hn::Xor(values, hn::Load(d, sweep.in[2] + i));
    if constexpr (kOutputs == 0) seen = hn::Xor(seen, values);
    if constexpr (kOutputs > 0) put(values, sweep.out[0] + i);
    if constexpr (kOutputs > 1) put(values, sweep.out[1] + i);
  }
  if constexpr (kNonTemporal) hwy::FlushStream();
  if constexpr (kOutputs == 0) {
    // So that the compiler reads at all.
    alignas(64) std::uint32_t sink[16] = {};
    hn::Store(seen, d, sink);
    static volatile std::uint32_t kept;
    kept = sink[0];
  }
}

template <int kInputs, int kOutputs, bool kNonTemporal>
void stream_with(const StreamSweep& sweep, std::int64_t begin, std::int64_t end) {
  (sweep.ahead > 0 ? stream_loop<kInputs, kOutputs, kNonTemporal, true>
                   : stream_loop<kInputs, kOutputs, kNonTemporal, false>)(sweep, begin, end);
}

template <int kInputs, int kOutputs>
void stream_of(const StreamSweep& sweep, std::int64_t begin, std::int64_t end) {
  (sweep.non_temporal ? stream_with<kInputs, kOutputs, true>
                      : stream_with<kInputs, kOutputs, false>)(sweep, begin, end);
}

template <int kInputs>
void stream_from(const StreamSweep& sweep, std::int64_t begin, std::int64_t end) {
  (sweep.outputs == 0   ? stream_of<kInputs, 0>
   : sweep.outputs == 1 ? stream_of<kInputs, 1>
                        : stream_of<kInputs, 2>)(sweep, begin, end);
}

void stream_any(const StreamSweep& sweep, std::int64_t begin, std::int64_t end) {
  (sweep.inputs == 1   ? stream_from<1>
   : sweep.inputs == 2 ? stream_from<2>
                       : stream_from<3>)(sweep, begin, end);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::cli
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refnorm::cli {

HWY_EXPORT(stream_any);

void stream(const StreamSweep& sweep, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(stream_any)(sweep, begin, end);
}

}  // namespace refnorm::cli

#endif
