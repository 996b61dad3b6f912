// Sweeps over tiles in which each channel's values lie side by side in runs: a channel's coefficients stay in
// registers along a run, and so do its sums.
#if defined(REFNORM_KERNELS_SIMD_RUNS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef REFNORM_KERNELS_SIMD_RUNS_INL_H
#undef REFNORM_KERNELS_SIMD_RUNS_INL_H
#else
#define REFNORM_KERNELS_SIMD_RUNS_INL_H
#endif

#include <algorithm>
#include <cmath>

#include <refnorm/kernels/simd_steps-inl.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

/// Values that are summed in lanes of T before the sums go on in double. It bounds both the rounding errors
/// and the memory that the second pass of the moments finds in the first-level cache.
constexpr std::int64_t kRunBlock = 4096;
/// Each row of a block is one more place from which memory streams in.
constexpr std::int64_t kRunBlockRows = 32;
/// Long runs are cut at multiples of this, so that only their ends are no whole vectors.
constexpr std::int64_t kWholeVectors = 64;

/// Part of one channel: `rows` runs of `length` values, the first of them at `at`. `before` values of the
/// channel lie in earlier blocks.
struct RunBlock {
  double count() const { return static_cast<double>(rows * length); }

  std::int64_t channel;
  std::int64_t at;
  std::int64_t rows;
  std::int64_t stride;
  std::int64_t length;
  std::int64_t before;
};

/// body(which of four sums, i, Whole or Part) for each pack of a run. Neighbours go to different sums, in
/// short runs too: additions to the same one would wait for each other.
template <class T, class Body>
HWY_INLINE void for_each_in_fours(std::int64_t length, const Body& body) {
  constexpr std::int64_t kN = kLanes<T>;
  std::int64_t i = 0;
  for (; i + 4 * kN <= length; i += 4 * kN) {
    body(Index<0>(), i, Whole());
    body(Index<1>(), i + kN, Whole());
    body(Index<2>(), i + 2 * kN, Whole());
    body(Index<3>(), i + 3 * kN, Whole());
  }
  if (i + 2 * kN <= length) {
    body(Index<0>(), i, Whole());
    body(Index<1>(), i + kN, Whole());
    i += 2 * kN;
  }
  if (i + kN <= length) {
    body(Index<2>(), i, Whole());
    i += kN;
  }
  if (i < length) body(Index<3>(), i, Part{length - i});
}

/// visit(RunBlock) for each block of the tile.
template <class Visit>
HWY_INLINE void for_each_run_block(const Tile& tile, const Visit& visit) {
  const std::int64_t step = std::clamp<std::int64_t>(kRunBlock / tile.inner, 1, kRunBlockRows);
  const std::int64_t pieces = (tile.inner + kRunBlock - 1) / kRunBlock;
  const std::int64_t even = (tile.inner + pieces - 1) / pieces;
  const std::int64_t length = (even + kWholeVectors - 1) / kWholeVectors * kWholeVectors;
  for (std::int64_t o = 0; o < tile.outer; o += step) {
    const std::int64_t rows = std::min(step, tile.outer - o);
    for (std::int64_t c = 0; c < tile.channels; ++c) {
      for (std::int64_t i = 0; i < tile.inner; i += length) {
        visit(RunBlock{c, o * tile.outer_stride + c * tile.inner + i, rows, tile.outer_stride,
                       std::min(length, tile.inner - i), o * tile.inner + i});
      }
    }
  }
}

/// The mean of a block, in T: no further from the true mean than rounding takes it.
template <class T>
HWY_INLINE Compute<T> run_centre(const T* x, const RunBlock& block) {
  const auto first = all<T>(first_of(load(x + block.at, Part{1})));
  Pack<T> sums[4] = {zeros<T>(), zeros<T>(), zeros<T>(), zeros<T>()};
  for (std::int64_t row = 0; row < block.rows; ++row) {
    const T* run = x + block.at + row * block.stride;
    for_each_in_fours<T>(block.length, [&](auto k, std::int64_t i, auto span) REFNORM_LAMBDA {
      sums[k] = add(sums[k], inside(sub(load(run + i, span), first), span));
    });
  }
  return static_cast<Compute<T>>(static_cast<double>(first_of(first)) + total<T>(sums) / block.count());
}

/// What the mean is likely to be near: that of the first few values.
template <class T>
HWY_INLINE Compute<T> run_guess(const T* x, const RunBlock& block) {
  const std::int64_t few = std::min(block.length, kLanes<T>);
  const auto sum = hn::SumOfLanes(Tag<T>(), folded(load(x + block.at, Part{few})));
  return hn::GetLane(sum) / static_cast<Compute<T>>(few);
}

/// sum of (x − centre) and of its square.
template <class T>
HWY_INLINE void run_sums(const T* x, const RunBlock& block, Compute<T> centre, double& sum, double& square) {
  const auto centres = all<T>(centre);
  Pack<T> sums[4] = {zeros<T>(), zeros<T>(), zeros<T>(), zeros<T>()};
  Pack<T> squares[4] = {zeros<T>(), zeros<T>(), zeros<T>(), zeros<T>()};
  for (std::int64_t row = 0; row < block.rows; ++row) {
    const T* run = x + block.at + row * block.stride;
    for_each_in_fours<T>(block.length, [&](auto k, std::int64_t i, auto span) REFNORM_LAMBDA {
      const auto away = inside(sub(load(run + i, span), centres), span);
      // The next block, while this one needs no memory.
      hwy::Prefetch(run + i + block.length);
      sums[k] = add(sums[k], away);
      squares[k] = mul_add(away, away, squares[k]);
    });
  }
  sum = total<T>(sums);
  square = total<T>(squares);
}

/// One pass around a guess and, where that turns out to be far from the mean, another around the block's own
/// mean, so that no value of the block can spoil the sums by lying far from the others; it reads from the
/// first-level cache. What the sums leave over corrects the mean.
template <class T>
HWY_INLINE void run_block_moments(const T* x, const RunBlock& block, double& mean, double& m2) {
  Compute<T> centre = run_guess(x, block);
  double sum = 0;
  double square = 0;
  run_sums(x, block, centre, sum, square);
  if (!close_enough(sum, square, block.count())) {
    centre = run_centre(x, block);
    run_sums(x, block, centre, sum, square);
  }
  const double left = sum / block.count();
  mean = static_cast<double>(centre) + left;
  m2 = std::max(square - left * left * block.count(), 0.0);
  // What float cannot hold fits into double, and what is not finite there either comes out as the plain loops
  // have it.
  if (std::isfinite(left) && std::isfinite(square)) return;
  plain_sweeps<T>().moments(x + block.at, Tile{block.rows, block.stride, 1, block.length}, &mean, &m2);
}

template <class T>
void run_moments(const T* x, const Tile& tile, double* mean, double* m2) {
  for_each_run_block(tile, [&](const RunBlock& block) REFNORM_LAMBDA {
    double block_mean = 0;
    double block_m2 = 0;
    run_block_moments(x, block, block_mean, block_m2);
    const Merge merge(static_cast<double>(block.before), block.count());
    const double apart = block_mean - mean[block.channel];
    mean[block.channel] += apart * merge.mean;
    m2[block.channel] += block_m2 + apart * apart * merge.square;
  });
}

template <class T>
HWY_INLINE Pack<T> broadcast(const Compute<T>* values, std::int64_t c, bool needed) {
  return needed ? all<T>(values[c]) : zeros<T>();
}

template <class T>
HWY_INLINE Affine<T> broadcast(const ForwardCoefficients<Compute<T>>& by, std::int64_t c, bool centre,
                               bool rest) {
  return {broadcast<T>(by.centre, c, centre), broadcast<T>(by.scale, c, rest),
          broadcast<T>(by.shift, c, rest)};
}

template <class T, bool kRelu>
void run_apply(ApplyArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by) {
  for (std::int64_t o = 0; o < tile.outer; ++o) {
    for (std::int64_t c = 0; c < tile.channels; ++c) {
      const auto affine = broadcast<T>(by, c, true, true);
      const std::int64_t at = o * tile.outer_stride + c * tile.inner;
      for_each_output_pack<T>(tile.inner, arrays.streamed(), at,
                              [&](std::int64_t i, auto span)
                                  REFNORM_LAMBDA { apply_step<T, kRelu>(arrays, at + i, span, affine); });
    }
  }
}

template <class T, Gate kGate>
void run_gradient_sums(GradientArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by,
                       double* g, double* gx) {
  for_each_run_block(tile, [&](const RunBlock& block) REFNORM_LAMBDA {
    const auto affine = broadcast<T>(by, block.channel, true, kGate == Gate::kInput);
    Pack<T> sums[4] = {zeros<T>(), zeros<T>(), zeros<T>(), zeros<T>()};
    Pack<T> products[4] = {zeros<T>(), zeros<T>(), zeros<T>(), zeros<T>()};
    for (std::int64_t row = 0; row < block.rows; ++row) {
      const std::int64_t begin = block.at + row * block.stride;
      for_each_in_fours<T>(block.length, [&](auto k, std::int64_t i, auto span) REFNORM_LAMBDA {
        const auto values = load(arrays.x + begin + i, span);
        // The next block's run; short runs end before the processor's own prefetcher has caught on.
        hwy::Prefetch(arrays.x + begin + i + block.length);
        hwy::Prefetch(arrays.dy + begin + i + block.length);
        const auto passed = gate_step<T, kGate>(arrays, begin + i, span, values, affine);
        sums[k] = add(sums[k], passed);
        products[k] = mul_add(passed, sub(values, affine.centre), products[k]);
      });
    }
    g[block.channel] += total<T>(sums);
    gx[block.channel] += total<T>(products);
  });
}

template <class T, Gate kGate>
void run_gradient_apply(GradientArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by,
                        const BackwardCoefficients<Compute<T>>& gradient) {
  const bool wanted = arrays.dx != nullptr;
  for (std::int64_t o = 0; o < tile.outer; ++o) {
    for (std::int64_t c = 0; c < tile.channels; ++c) {
      const auto affine = broadcast<T>(by, c, wanted || kGate == Gate::kInput, kGate == Gate::kInput);
      const GradientStep<T> step{broadcast<T>(gradient.g_scale, c, wanted),
                                 broadcast<T>(gradient.x_scale, c, wanted),
                                 broadcast<T>(gradient.shift, c, wanted)};
      const std::int64_t at = o * tile.outer_stride + c * tile.inner;
      for_each_output_pack<T>(tile.inner, arrays.streamed(), at,
                              [&](std::int64_t i, auto span) REFNORM_LAMBDA {
                                gradient_step<T, kGate>(arrays, at + i, span, affine, step);
                              });
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#endif
