#include <array>

#include <refnorm/kernels/sweeps.h>

namespace refnorm::kernels {
namespace {

template <class T>
Compute<T> load(T value) {
  if constexpr (std::is_same_v<T, Bfloat16>) {
    return to_float(value);
  } else {
    return value;
  }
}

template <class T>
T store(Compute<T> value) {
  if constexpr (std::is_same_v<T, Bfloat16>) {
    return to_bfloat16(value);
  } else {
    return value;
  }
}

/// Several sums side by side: a single one would wait for each addition before it starts the next.
constexpr std::int64_t kLanes = 8;

template <class Term>
double sum(std::int64_t count, const Term& term) {
  std::array<double, kLanes> lanes{};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      lanes[static_cast<std::size_t>(lane)] += term(i + lane);
  }
  for (; i < count; ++i) lanes[0] += term(i);
  double total = 0;
  for (const double lane : lanes) total += lane;
  return total;
}

/// Calls body(channel, run) for each run of `inner` adjacent values of one channel.
template <class Body>
void for_each_run(const Tile& tile, const Body& body) {
  for (std::int64_t o = 0; o < tile.outer; ++o) {
    for (std::int64_t c = 0; c < tile.channels; ++c) body(c, o * tile.outer_stride + c * tile.inner);
  }
}

template <class T>
void moments(const T* x, const Tile& tile, double* mean, double* m2) {
  const double count = static_cast<double>(tile.outer) * static_cast<double>(tile.inner);
  for (std::int64_t c = 0; c < tile.channels; ++c) mean[c] = m2[c] = 0;
  if (count == 0) return;
  for_each_run(tile, [&](std::int64_t c, std::int64_t at) {
    mean[c] += sum(tile.inner, [&](std::int64_t i) { return static_cast<double>(load(x[at + i])); });
  });
  for (std::int64_t c = 0; c < tile.channels; ++c) mean[c] /= count;
  for_each_run(tile, [&](std::int64_t c, std::int64_t at) {
    m2[c] += sum(tile.inner, [&](std::int64_t i) {
      const double away = static_cast<double>(load(x[at + i])) - mean[c];
      return away * away;
    });
  });
}

template <class V>
V affine(V x, std::int64_t c, const ForwardCoefficients<V>& by) {
  return by.scale[c] * (x - by.centre[c]) + by.shift[c];
}

/// The bits of a byte are set one after another.
void set_bit(std::uint8_t* bits, std::int64_t i, bool value) {
  if (i % 8 == 0) bits[i / 8] = 0;
  bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | (value ? 1 : 0) << i % 8);
}

template <class T>
void apply(const T* x, const T* residual, T* y, const Tile& tile, const ForwardCoefficients<Compute<T>>& by,
           const Relu& relu, const Caching& /*caching*/) {
  using V = Compute<T>;
  for_each_run(tile, [&](std::int64_t c, std::int64_t at) {
    for (std::int64_t i = at; i < at + tile.inner; ++i) {
      V value = affine(load(x[i]), c, by);
      if (residual != nullptr) value += load(residual[i]);
      const bool passes = !(relu.on && value <= 0);
      y[i] = store<T>(passes ? value : V(0));
      if (relu.gate != nullptr) set_bit(relu.gate, i, passes);
    }
  });
}

/// g at one place: dy where the activation let through.
template <class T>
Compute<T> gate(const T* x, const T* dy, const Activation<T>& activation, std::int64_t i, std::int64_t c,
                const ForwardCoefficients<Compute<T>>& by) {
  const Compute<T> g = load(dy[i]);
  if (!activation.relu) return g;
  if (activation.gate != nullptr) return (activation.gate[i / 8] >> i % 8 & 1) != 0 ? g : Compute<T>(0);
  const Compute<T> y = activation.y != nullptr ? load(activation.y[i]) : affine(load(x[i]), c, by);
  return y <= 0 ? Compute<T>(0) : g;
}

template <class T>
void gradient_sums(const T* x, const T* dy, const Activation<T>& activation, const Tile& tile,
                   const ForwardCoefficients<Compute<T>>& by, double* g, double* gx) {
  for (std::int64_t c = 0; c < tile.channels; ++c) g[c] = gx[c] = 0;
  for_each_run(tile, [&](std::int64_t c, std::int64_t at) {
    g[c] += sum(tile.inner,
                [&](std::int64_t i) { return static_cast<double>(gate(x, dy, activation, at + i, c, by)); });
    gx[c] += sum(tile.inner, [&](std::int64_t i) {
      return static_cast<double>(gate(x, dy, activation, at + i, c, by)) *
             static_cast<double>(load(x[at + i]) - by.centre[c]);
    });
  });
}

template <class T>
void gradient_apply(const T* x, const T* dy, const Activation<T>& activation, T* dx, T* dresidual,
                    const Tile& tile, const ForwardCoefficients<Compute<T>>& by,
                    const BackwardCoefficients<Compute<T>>& gradient, const Caching& /*caching*/) {
  for_each_run(tile, [&](std::int64_t c, std::int64_t at) {
    for (std::int64_t i = at; i < at + tile.inner; ++i) {
      const Compute<T> g = gate(x, dy, activation, i, c, by);
      if (dresidual != nullptr) dresidual[i] = store<T>(g);
      if (dx == nullptr) continue;
      dx[i] = store<T>(gradient.g_scale[c] * g + gradient.x_scale[c] * (load(x[i]) - by.centre[c]) +
                       gradient.shift[c]);
    }
  });
}

}  // namespace

template <class T>
const Sweeps<T>& plain_sweeps() {
  static constexpr Sweeps<T> kPlain{moments<T>, apply<T>, gradient_sums<T>, gradient_apply<T>, true};
  return kPlain;
}

template const Sweeps<float>& plain_sweeps<float>();
template const Sweeps<double>& plain_sweeps<double>();
template const Sweeps<Bfloat16>& plain_sweeps<Bfloat16>();

}  // namespace refnorm::kernels
