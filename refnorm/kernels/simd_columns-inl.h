// Sweeps over tiles in which neighbours belong to different channels (channels_last), or nearly so. Such a
// tile is a matrix: every place of a row is a column of its own, with the coefficients and the sums of its
// channel in arrays beside it. Rows of few values are folded: several of them make up one row of the matrix.
#if defined(REFNORM_KERNELS_SIMD_COLUMNS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef REFNORM_KERNELS_SIMD_COLUMNS_INL_H
#undef REFNORM_KERNELS_SIMD_COLUMNS_INL_H
#else
#define REFNORM_KERNELS_SIMD_COLUMNS_INL_H
#endif

#include <algorithm>
#include <numeric>

#include <refnorm/kernels/simd_lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

/// Columns worked on at a time; what is kept for them lies on the stack.
constexpr std::int64_t kColumns = 2048;
/// Folding goes on to about this many columns.
constexpr std::int64_t kFoldedColumns = 256;
/// Values in a block, so that the second pass of the moments finds it in the second-level cache; and rows,
/// which bounds the rounding errors.
constexpr std::int64_t kColumnBlock = 65536;
constexpr std::int64_t kColumnBlockRows = 256;

/// Rows of a matrix, each of `fold` times `channels` times `inner` values, the first of them at `at`.
/// `before` values of each channel lie in earlier blocks.
struct ColumnBlock {
  std::int64_t columns() const { return fold * channels * inner; }
  double count() const { return static_cast<double>(rows * fold * inner); }

  std::int64_t first_channel;
  std::int64_t channels;
  std::int64_t inner;
  std::int64_t fold;
  std::int64_t at;
  std::int64_t rows;
  std::int64_t stride;
  std::int64_t before;
};

/// A value for each column, or for each channel. Whole vectors may be read and written at its end.
template <class V>
struct Columns {
  alignas(64) V values[kColumns + HWY_MAX_BYTES / sizeof(V)];
};

/// How many rows of `width` values to make one: as many as fill whole vectors, and then more of them.
HWY_INLINE std::int64_t rows_to_fold(std::int64_t width, std::int64_t lanes, std::int64_t outer) {
  std::int64_t unit = lanes / std::gcd(lanes, width);
  if (unit * width > kColumns) unit = 1;
  return std::min(outer, unit * std::max<std::int64_t>(1, kFoldedColumns / (unit * width)));
}

/// visit(ColumnBlock) for each set of at most kColumns columns, with all rows; folding may leave over a last
/// row of its own.
template <class T, class Visit>
HWY_INLINE void for_each_strip(const Tile& tile, const Visit& visit) {
  const std::int64_t width = tile.channels * tile.inner;
  if (width <= kColumns && (tile.outer_stride == width || tile.outer == 1)) {
    const std::int64_t fold = rows_to_fold(width, kLanes<T>, tile.outer);
    const std::int64_t rows = tile.outer / fold;
    const std::int64_t rest = tile.outer % fold;
    visit(ColumnBlock{0, tile.channels, tile.inner, fold, 0, rows, fold * width, 0});
    if (rest == 0) return;
    const std::int64_t before = rows * fold;
    visit(ColumnBlock{0, tile.channels, tile.inner, rest, before * width, 1, 0, before * tile.inner});
    return;
  }
  const std::int64_t step = kColumns / tile.inner;
  for (std::int64_t c = 0; c < tile.channels; c += step) {
    const std::int64_t channels = std::min(step, tile.channels - c);
    visit(ColumnBlock{c, channels, tile.inner, 1, c * tile.inner, tile.outer, tile.outer_stride, 0});
  }
}

/// visit(ColumnBlock) for a strip's rows, a block at a time.
template <class Visit>
HWY_INLINE void for_each_column_block(const ColumnBlock& strip, const Visit& visit) {
  const std::int64_t step = std::clamp<std::int64_t>(kColumnBlock / strip.columns(), 1, kColumnBlockRows);
  for (std::int64_t row = 0; row < strip.rows; row += step) {
    ColumnBlock block = strip;
    block.at += row * strip.stride;
    block.rows = std::min(step, strip.rows - row);
    block.before += row * strip.fold * strip.inner;
    visit(block);
  }
}

/// Gives each column its channel's value.
template <class V>
HWY_INLINE void spread(const V* channels, const ColumnBlock& block, Columns<V>& columns) {
  const std::int64_t width = block.channels * block.inner;
  if (block.inner == 1) {
    std::copy_n(channels, width, columns.values);
  } else {
    for (std::int64_t c = 0; c < block.channels; ++c) {
      std::fill_n(columns.values + c * block.inner, block.inner, channels[c]);
    }
  }
  for (std::int64_t f = 1; f < block.fold; ++f) {
    std::copy_n(columns.values, width, columns.values + f * width);
  }
  std::fill_n(columns.values + block.columns(), kLanes<V>, V(0));
}

template <class V>
HWY_INLINE Vector<double> load_as_double(const V* from) {
  const Tag<double> d64;
  if constexpr (std::is_same_v<V, double>) {
    return hn::LoadU(d64, from);
  } else {
    return hn::PromoteTo(d64, hn::LoadU(hn::Rebind<V, Tag<double>>(), from));
  }
}

/// Adds `weight` times the sum of each channel's columns to the channel's value.
template <class V>
HWY_INLINE void add_columns(const Columns<V>& columns, const ColumnBlock& block, double weight,
                            Columns<double>& channels) {
  const Tag<double> d64;
  for (std::int64_t f = 0; f < block.fold; ++f) {
    const V* from = columns.values + f * block.channels * block.inner;
    if (block.inner == 1) {
      for (std::int64_t c = 0; c < block.channels; c += kLanes<double>) {
        double* to = channels.values + c;
        hn::StoreU(hn::MulAdd(hn::Set(d64, weight), load_as_double(from + c), hn::LoadU(d64, to)), d64, to);
      }
    } else {
      for (std::int64_t c = 0; c < block.channels; ++c) {
        double sum = 0;
        for (std::int64_t i = 0; i < block.inner; ++i) sum += static_cast<double>(from[c * block.inner + i]);
        channels.values[c] += weight * sum;
      }
    }
  }
}

template <class T>
struct AffineColumns {
  using V = Compute<T>;

  AffineColumns(const ForwardCoefficients<V>& by, const ColumnBlock& block, bool needs_centre,
                bool needs_rest) {
    if (needs_centre) spread(by.centre + block.first_channel, block, centre);
    if (!needs_rest) return;
    spread(by.scale + block.first_channel, block, scale);
    spread(by.shift + block.first_channel, block, shift);
  }

  template <bool kNeedsRest>
  HWY_INLINE Affine<T> at(std::int64_t j) const {
    const Tag<T> d;
    const auto first = hn::LoadU(d, centre.values + j);
    if constexpr (!kNeedsRest) return {first, hn::Zero(d), hn::Zero(d)};
    return {first, hn::LoadU(d, scale.values + j), hn::LoadU(d, shift.values + j)};
  }

  Columns<V> centre;
  Columns<V> scale;
  Columns<V> shift;
};

template <class T, bool kRelu>
void column_apply(ApplyArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by) {
  for_each_strip<T>(tile, [&](const ColumnBlock& strip) REFNORM_LAMBDA {
    const AffineColumns<T> columns(by, strip, true, true);
    for (std::int64_t row = 0; row < strip.rows; ++row) {
      const std::int64_t at = strip.at + row * strip.stride;
      for_each_output_vector<T>(strip.columns(), arrays.streams(at),
                                [&](std::int64_t j, auto span) REFNORM_LAMBDA {
                                  apply_step<T, kRelu>(arrays, at + j, span, columns.template at<true>(j));
                                });
    }
  });
}

template <class T, Gate kGate>
void column_gradient_apply(GradientArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by,
                           const BackwardCoefficients<Compute<T>>& gradient) {
  using V = Compute<T>;
  const Tag<T> d;
  const bool wanted = arrays.dx != nullptr;
  for_each_strip<T>(tile, [&](const ColumnBlock& strip) REFNORM_LAMBDA {
    const AffineColumns<T> columns(by, strip, wanted || kGate == Gate::kInput, kGate == Gate::kInput);
    Columns<V> g_scale;
    Columns<V> x_scale;
    Columns<V> shift;
    if (wanted) {
      spread(gradient.g_scale + strip.first_channel, strip, g_scale);
      spread(gradient.x_scale + strip.first_channel, strip, x_scale);
      spread(gradient.shift + strip.first_channel, strip, shift);
    }
    for (std::int64_t row = 0; row < strip.rows; ++row) {
      const std::int64_t at = strip.at + row * strip.stride;
      for_each_output_vector<T>(
          strip.columns(), arrays.streams(at), [&](std::int64_t j, auto span) REFNORM_LAMBDA {
            const auto affine = columns.template at<kGate == Gate::kInput>(j);
            const GradientStep<T> step{hn::LoadU(d, g_scale.values + j), hn::LoadU(d, x_scale.values + j),
                                       hn::LoadU(d, shift.values + j)};
            gradient_step<T, kGate>(arrays, at + j, span, affine, step);
          });
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#endif
