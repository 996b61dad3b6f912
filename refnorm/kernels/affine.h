#pragma once

#include <cstdint>

namespace refnorm::kernels {

/// How x[N, C, S] lies in memory: a channel's S values side by side, or the C channels of a position.
enum class Layout { kPlanar, kChannelsLast };

/// The numbers of a channel, [C] each.
template <class T>
struct ChannelMap {
  const T* centre;
  const T* scale;
  const T* shift;
};

/// out = scale_c · (x − centre_c) + shift_c for the samples of [begin, end). Applies a normalization, and
/// takes a gradient through its statistics. In this form nothing is lost where |centre| is far above the
/// deviation; scale·x + b would lose it. `x` and `out` may be the same. Instantiated for float and double.
template <class T>
void affine(const T* x, T* out, std::int64_t begin, std::int64_t end, std::int64_t channels,
            std::int64_t positions, Layout layout, const ChannelMap<T>& map);

}  // namespace refnorm::kernels
