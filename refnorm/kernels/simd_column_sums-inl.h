// Moments and gradients over the columns of simd_columns-inl.h.
#if defined(REFNORM_KERNELS_SIMD_COLUMN_SUMS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef REFNORM_KERNELS_SIMD_COLUMN_SUMS_INL_H
#undef REFNORM_KERNELS_SIMD_COLUMN_SUMS_INL_H
#else
#define REFNORM_KERNELS_SIMD_COLUMN_SUMS_INL_H
#endif

#include <algorithm>
#include <cmath>

#include <refnorm/kernels/simd_columns-inl.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

/// From so many rows a block's means are guessed.
constexpr std::int64_t kGuessRows = 8;

template <class T>
struct ColumnMoments {
  using V = Compute<T>;
  Columns<V> first;
  Columns<V> sums;
  Columns<V> squares;
  Columns<V> centres;
  Columns<V> channel_centres;
  Columns<double> mean;
  Columns<double> m2;
};

/// The channels' means over the block, in T; no further from the true ones than rounding takes them.
template <class T>
HWY_INLINE void column_centres(const T* x, const ColumnBlock& block, ColumnMoments<T>& scratch) {
  using V = Compute<T>;
  for_each_pack<T>(0, block.columns(), Whole(), [&](std::int64_t j, auto span) REFNORM_LAMBDA {
    store_columns<T>(load(x + block.at + j, span), scratch.first, j);
    store_columns<T>(zeros<T>(), scratch.sums, j);
  });
  for_each_rows(block, [&](auto rows, std::int64_t at) REFNORM_LAMBDA {
    for_each_pack<T>(0, block.columns(), Whole(), [&](std::int64_t j, auto span) REFNORM_LAMBDA {
      const auto shift = load_columns<T>(scratch.first, j);
      auto sum = load_columns<T>(scratch.sums, j);
      for (int row = 0; row < rows; ++row) {
        const T* place = x + at + row * block.stride + j;
        // Several rows at a time are not what the processor's own prefetcher expects.
        hwy::Prefetch(place + rows * block.stride);
        sum = add(sum, sub(load(place, span), shift));
      }
      store_columns<T>(sum, scratch.sums, j);
    });
  });
  std::fill_n(scratch.mean.values, block.channels, 0.0);
  add_columns<T>(scratch.first, block, static_cast<double>(block.rows), scratch.mean);
  add_columns<T>(scratch.sums, block, 1, scratch.mean);
  for (std::int64_t c = 0; c < block.channels; ++c) {
    scratch.channel_centres.values[c] = static_cast<V>(scratch.mean.values[c] / block.count());
  }
  spread<T>(scratch.channel_centres.values, block, scratch.centres);
}

/// sum of (x − centre) and of its square for each channel, in scratch.mean and scratch.m2.
template <class T>
HWY_INLINE void column_sums(const T* x, const ColumnBlock& block, ColumnMoments<T>& scratch) {
  clear_columns<T>(block.columns(), scratch.sums);
  clear_columns<T>(block.columns(), scratch.squares);
  for_each_rows(block, [&](auto rows, std::int64_t at) REFNORM_LAMBDA {
    for_each_pack<T>(0, block.columns(), Whole(), [&](std::int64_t j, auto span) REFNORM_LAMBDA {
      const auto centre = load_columns<T>(scratch.centres, j);
      auto sum = load_columns<T>(scratch.sums, j);
      auto square = load_columns<T>(scratch.squares, j);
      for (int row = 0; row < rows; ++row) {
        const T* place = x + at + row * block.stride + j;
        // Several rows at a time are not what the processor's own prefetcher expects.
        hwy::Prefetch(place + rows * block.stride);
        const auto away = sub(load(place, span), centre);
        sum = add(sum, away);
        square = mul_add(away, away, square);
      }
      store_columns<T>(sum, scratch.sums, j);
      store_columns<T>(square, scratch.squares, j);
    });
  });
  std::fill_n(scratch.mean.values, block.channels, 0.0);
  std::fill_n(scratch.m2.values, block.channels, 0.0);
  add_columns<T>(scratch.sums, block, 1, scratch.mean);
  add_columns<T>(scratch.squares, block, 1, scratch.m2);
}

/// One pass around a guess, the mean of the blocks before or of the first rows, and another around the
/// block's own mean where the guess is far from some channel's; the scheme is that of the runs.
template <class T>
HWY_INLINE void column_block_moments(const T* x, const ColumnBlock& block, const double* mean_before,
                                     ColumnMoments<T>& scratch) {
  if (block.before > 0) {
    for (std::int64_t c = 0; c < block.channels; ++c) {
      scratch.channel_centres.values[c] = static_cast<Compute<T>>(mean_before[block.first_channel + c]);
    }
    spread<T>(scratch.channel_centres.values, block, scratch.centres);
  } else {
    ColumnBlock few = block;
    few.rows = std::min(kGuessRows, block.rows);
    column_centres(x, few, scratch);
  }
  column_sums(x, block, scratch);
  bool close = true;
  for (std::int64_t c = 0; c < block.channels; ++c) {
    close &= close_enough(scratch.mean.values[c], scratch.m2.values[c], block.count());
  }
  if (close) return;
  column_centres(x, block, scratch);
  column_sums(x, block, scratch);
}

/// Turns the sums around the centres into moments.
template <class T>
HWY_INLINE void finish_column_moments(const T* x, const ColumnBlock& block, ColumnMoments<T>& scratch) {
  const Tag<double> d64;
  double* mean = scratch.mean.values;
  double* m2 = scratch.m2.values;
  const auto count = hn::Set(d64, block.count());
  auto poison = hn::Zero(d64);
  for_each_pack<double>(0, block.channels, Whole(), [&](std::int64_t c, auto span) REFNORM_LAMBDA {
    const auto left = hn::Div(hn::LoadU(d64, mean + c), count);
    const auto square = hn::LoadU(d64, m2 + c);
    // Zero, but NaN where either is not finite.
    const auto odd = hn::Add(hn::Sub(left, left), hn::Sub(square, square));
    poison = hn::Add(poison, inside(Pack<double>{{odd}}, span).part[0]);
    hn::StoreU(hn::Add(load_as_double(scratch.channel_centres.values + c), left), d64, mean + c);
    hn::StoreU(hn::Max(hn::NegMulAdd(hn::Mul(left, count), left, square), hn::Add(hn::Zero(d64), odd)), d64,
               m2 + c);
  });
  if (!std::isnan(hn::GetLane(hn::SumOfLanes(d64, poison)))) return;
  // As for the runs: what float cannot hold fits into double. A folded block's rows lie one behind the other.
  const std::int64_t stride = block.fold > 1 ? block.channels * block.inner : block.stride;
  for (std::int64_t c = 0; c < block.channels; ++c) {
    if (!std::isnan(m2[c])) continue;
    plain_sweeps<T>().moments(x + block.at + c * block.inner,
                              Tile{block.rows * block.fold, stride, 1, block.inner}, mean + c, m2 + c);
  }
}

template <class T>
void column_moments(const T* x, const Tile& tile, double* mean, double* m2) {
  const Tag<double> d64;
  ColumnMoments<T> scratch;
  const auto visit = [&](const ColumnBlock& block) REFNORM_LAMBDA {
    column_block_moments(x, block, mean, scratch);
    finish_column_moments(x, block, scratch);
    const Merge merge(static_cast<double>(block.before), block.count());
    const auto mean_weight = hn::Set(d64, merge.mean);
    const auto square_weight = hn::Set(d64, merge.square);
    double* all_mean = mean + block.first_channel;
    double* all_m2 = m2 + block.first_channel;
    for_each_pack<double>(0, block.channels, Whole(), [&](std::int64_t c, auto span) REFNORM_LAMBDA {
      const auto old = load<double>(all_mean + c, span).part[0];
      const auto old_m2 = load<double>(all_m2 + c, span).part[0];
      const auto apart = hn::Sub(hn::LoadU(d64, scratch.mean.values + c), old);
      const auto between = hn::MulAdd(hn::Mul(apart, apart), square_weight, old_m2);
      store<double>({{hn::MulAdd(apart, mean_weight, old)}}, all_mean + c, span);
      store<double>({{hn::Add(hn::LoadU(d64, scratch.m2.values + c), between)}}, all_m2 + c, span);
    });
  };
  for_each_strip<T>(tile, kSummedColumns,
                    [&](const ColumnBlock& strip) REFNORM_LAMBDA { for_each_column_block(strip, visit); });
}

template <class T>
struct ColumnGradients {
  using V = Compute<T>;
  Columns<V> sums;
  Columns<V> products;
  Columns<double> g;
  Columns<double> gx;
};

template <class T, Gate kGate>
HWY_INLINE void column_block_gradient_sums(GradientArrays<T> arrays, const ColumnBlock& block,
                                           const AffineColumns<T>& by, ColumnGradients<T>& scratch) {
  clear_columns<T>(block.columns(), scratch.sums);
  clear_columns<T>(block.columns(), scratch.products);
  for_each_rows(block, [&](auto rows, std::int64_t at) REFNORM_LAMBDA {
    for_each_pack<T>(0, block.columns(), Whole(), [&](std::int64_t j, auto span) REFNORM_LAMBDA {
      const auto affine = by.template at<kGate == Gate::kInput>(j);
      auto sum = load_columns<T>(scratch.sums, j);
      auto product = load_columns<T>(scratch.products, j);
      for (int row = 0; row < rows; ++row) {
        const std::int64_t place = at + row * block.stride + j;
        const auto values = load(arrays.x + place, span);
        hwy::Prefetch(arrays.x + place + rows * block.stride);
        hwy::Prefetch(arrays.dy + place + rows * block.stride);
        const auto passed = gate_step<T, kGate>(arrays, place, span, values, affine);
        sum = add(sum, passed);
        product = mul_add(passed, sub(values, affine.centre), product);
      }
      store_columns<T>(sum, scratch.sums, j);
      store_columns<T>(product, scratch.products, j);
    });
  });
  add_columns<T>(scratch.sums, block, 1, scratch.g);
  add_columns<T>(scratch.products, block, 1, scratch.gx);
}

template <class T, Gate kGate>
void column_gradient_sums(GradientArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by,
                          double* g, double* gx) {
  for_each_strip<T>(tile, kSummedColumns, [&](const ColumnBlock& strip) {
    const AffineColumns<T> columns(by, strip, true, kGate == Gate::kInput);
    ColumnGradients<T> scratch;
    std::fill_n(scratch.g.values, strip.channels, 0.0);
    std::fill_n(scratch.gx.values, strip.channels, 0.0);
    for_each_column_block(strip, [&](const ColumnBlock& block) REFNORM_LAMBDA {
      column_block_gradient_sums<T, kGate>(arrays, block, columns, scratch);
    });
    for (std::int64_t c = 0; c < strip.channels; ++c) {
      g[strip.first_channel + c] += scratch.g.values[c];
      gx[strip.first_channel + c] += scratch.gx.values[c];
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#endif
