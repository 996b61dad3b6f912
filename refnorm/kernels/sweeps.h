#pragma once

#include <cstdint>

#include <refnorm/kernels/bfloat16.h>

namespace refnorm::kernels {

/// The part of a tensor that one sweep goes over: `outer` x `channels` x `inner` values, (o, c, i) at
/// o·outer_stride + c·inner + i from where the pointers of the call point. In a planar tensor (NCHW) outer is
/// samples and inner the positions of a channel; in a channels_last one (NHWC) outer is positions of all
/// samples and inner is 1, so that the channels lie side by side. All arrays of a call share this geometry.
struct Tile {
  std::int64_t outer = 0;
  std::int64_t outer_stride = 0;
  std::int64_t channels = 0;
  std::int64_t inner = 0;
};

/// What sweeps compute in: double for double values, float for all else.
template <class T>
struct ComputeType {
  using type = float;
};
template <>
struct ComputeType<double> {
  using type = double;
};
template <class T>
using Compute = typename ComputeType<T>::type;

/// One number a channel of the tile: y = scale · (x − centre) + shift. One that is NaN is the standard quiet
/// NaN: rounding to bfloat16 relies on that.
template <class V>
struct ForwardCoefficients {
  const V* centre;
  const V* scale;
  const V* shift;
};

/// dx = g_scale · g + x_scale · (x − centre) + shift.
template <class V>
struct BackwardCoefficients {
  const V* g_scale;
  const V* x_scale;
  const V* shift;
};

/// Whether ReLU follows. `gate`, where that is not null, gets a bit for each value: whether it passed, the
/// first value's in the lowest bit. Runs of values (rows, where neighbours belong to different channels) must
/// begin at multiples of 8 then.
struct Relu {
  Relu(bool follows, std::uint8_t* bits = nullptr) : on(follows), gate(bits) {}
  bool on;
  std::uint8_t* gate;
};

/// How the gradient passes the activation: where `relu` is set, g = dy where the output was not <= 0, else 0.
/// That is read from `gate` or from the output `y` where one is given (one must be where a residual was
/// added), and else computed again from x by the same expression as in `apply`, so that both agree bit by
/// bit.
template <class T>
struct Activation {
  bool relu = false;
  const T* y = nullptr;
  const std::uint8_t* gate = nullptr;
};

/// What a sweep that writes knows about the caches. It changes times, never results.
struct Caching {
  bool stream = false;  ///< outputs are too large to be found in a cache later: they may be written past it,
                        ///< which saves reading their lines first
  std::int64_t ahead = 0;  ///< so many values further on, x and dy will be read soon; 0: nothing known
};

/// The four sweeps over memory of which every normalization consists. Each reads and writes each value once;
/// none knows what a norm is. A table of them is one implementation: plain loops here, and one for each
/// instruction set.
template <class T>
struct Sweeps {
  using V = Compute<T>;

  /// The mean of each channel of the tile, and its sum of (x − mean)^2; never by E[x^2] − E[x]^2. Sums are
  /// kept in double or merged in double.
  void (*moments)(const T* x, const Tile& tile, double* mean, double* m2);

  /// y = act(scale · (x − centre) + shift [+ residual]); residual may be null; y may be x or residual. A NaN
  /// passes ReLU.
  void (*apply)(const T* x, const T* residual, T* y, const Tile& tile, const ForwardCoefficients<V>& by,
                const Relu& relu, const Caching& caching);

  /// Each channel's sum of g and of g · (x − centre).
  void (*gradient_sums)(const T* x, const T* dy, const Activation<T>& activation, const Tile& tile,
                        const ForwardCoefficients<V>& by, double* g, double* gx);

  /// dx = g_scale · g + x_scale · (x − centre) + shift, and dresidual = g where that is not null. dx may be
  /// null, where only dresidual is wanted.
  void (*gradient_apply)(const T* x, const T* dy, const Activation<T>& activation, T* dx, T* dresidual,
                         const Tile& tile, const ForwardCoefficients<V>& by,
                         const BackwardCoefficients<V>& gradient, const Caching& caching);

  /// Whether gates can be written and read: vectors of a few values cannot.
  bool has_gates;
};

/// Plain loops. In double they are the reference that every other implementation is tested against.
/// Instantiated for float, double and Bfloat16.
template <class T>
const Sweeps<T>& plain_sweeps();

}  // namespace refnorm::kernels
