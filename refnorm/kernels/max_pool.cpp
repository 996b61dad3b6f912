#include <algorithm>
#include <cmath>

#include <refnorm/kernels/max_pool.h>

namespace refnorm::kernels {
namespace {

/// One of a window's values against the best so far.
template <class T>
void take_larger(T value, std::uint8_t place, T& best, std::uint8_t& which) {
  if (!(value > best) && !std::isnan(value)) return;
  best = value;
  which = place;
}

}  // namespace

template <class T>
void max_pool_2x2_plain(const T* x, T* y, std::uint8_t* which, std::int64_t planes, std::int64_t height,
                        std::int64_t width) {
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t row = 0; row < height / 2; ++row) {
      const T* upper = x + (plane * height + 2 * row) * width;
      const T* lower = upper + width;
      for (std::int64_t i = 0; i < width / 2; ++i) {
        T best = upper[2 * i];
        std::uint8_t place = 0;
        take_larger(upper[2 * i + 1], 1, best, place);
        take_larger(lower[2 * i], 2, best, place);
        take_larger(lower[2 * i + 1], 3, best, place);
        y[i] = best;
        which[i] = place;
      }
      y += width / 2;
      which += width / 2;
    }
  }
}

template <class T>
void max_pool_2x2_backward_plain(const T* dy, const std::uint8_t* which, T* dx, std::int64_t planes,
                                 std::int64_t height, std::int64_t width) {
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t row = 0; row < height / 2; ++row) {
      T* upper = dx + (plane * height + 2 * row) * width;
      T* lower = upper + width;
      for (std::int64_t i = 0; i < width / 2; ++i) {
        upper[2 * i] = which[i] == 0 ? dy[i] : T(0);
        upper[2 * i + 1] = which[i] == 1 ? dy[i] : T(0);
        lower[2 * i] = which[i] == 2 ? dy[i] : T(0);
        lower[2 * i + 1] = which[i] == 3 ? dy[i] : T(0);
      }
      if (width % 2 == 1) upper[width - 1] = lower[width - 1] = 0;
      dy += width / 2;
      which += width / 2;
    }
    if (height % 2 == 1) std::fill_n(dx + ((plane + 1) * height - 1) * width, width, T(0));
  }
}

template void max_pool_2x2_plain<float>(const float*, float*, std::uint8_t*, std::int64_t, std::int64_t,
                                        std::int64_t);
template void max_pool_2x2_plain<double>(const double*, double*, std::uint8_t*, std::int64_t, std::int64_t,
                                         std::int64_t);
template void max_pool_2x2_backward_plain<float>(const float*, const std::uint8_t*, float*, std::int64_t,
                                                 std::int64_t, std::int64_t);
template void max_pool_2x2_backward_plain<double>(const double*, const std::uint8_t*, double*, std::int64_t,
                                                  std::int64_t, std::int64_t);

}  // namespace refnorm::kernels
