#include <refnorm/kernels/affine.h>

namespace refnorm::kernels {
namespace {

// Plain loops over unit strides, which the compiler vectorizes.

template <class T>
void affine_planar(const T* x, T* out, std::int64_t samples, std::int64_t channels, std::int64_t positions,
                   const ChannelMap<T>& map) {
  for (std::int64_t n = 0; n < samples; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const T centre = map.centre[c];
      const T scale = map.scale[c];
      const T shift = map.shift[c];
      for (std::int64_t i = 0; i < positions; ++i) out[i] = (x[i] - centre) * scale + shift;
      x += positions;
      out += positions;
    }
  }
}

template <class T>
void affine_channels_last(const T* x, T* out, std::int64_t rows, std::int64_t channels,
                          const ChannelMap<T>& map) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t c = 0; c < channels; ++c) {
      out[c] = (x[c] - map.centre[c]) * map.scale[c] + map.shift[c];
    }
    x += channels;
    out += channels;
  }
}

}  // namespace

template <class T>
void affine(const T* x, T* out, std::int64_t begin, std::int64_t end, std::int64_t channels,
            std::int64_t positions, Layout layout, const ChannelMap<T>& map) {
  const std::int64_t offset = begin * channels * positions;
  if (layout == Layout::kChannelsLast || positions == 1) {
    affine_channels_last(x + offset, out + offset, (end - begin) * positions, channels, map);
  } else {
    affine_planar(x + offset, out + offset, end - begin, channels, positions, map);
  }
}

template void affine<float>(const float*, float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                            Layout, const ChannelMap<float>&);
template void affine<double>(const double*, double*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                             Layout, const ChannelMap<double>&);

}  // namespace refnorm::kernels
