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

#include <refnorm/kernels/simd_steps-inl.h>

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

/// Columns worked on at a time; what is kept for them lies on the stack. Sums are kept for fewer, as they
/// share the first-level cache with several rows.
constexpr std::int64_t kColumns = 2048;
constexpr std::int64_t kSummedColumns = 1024;
/// Folding goes on to about this many columns.
constexpr std::int64_t kFoldedColumns = 256;
/// Values in a block, so that the second pass of the moments finds it in the second-level cache; and rows,
/// which bounds the rounding errors.
constexpr std::int64_t kColumnBlock = 262144;
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

/// Places in memory so far apart share a set of the first-level cache, on all common processors.
constexpr std::int64_t kSetsBytes = 4096;
/// Rows go in groups, which use the coefficients and sums that they loaded for their columns.
constexpr int kGroup = 4;

/// body(number of rows, offset of the first)
template <int kRows = kGroup, class Body>
HWY_INLINE void for_each_rows(const ColumnBlock& block, const Body& body) {
  std::int64_t row = 0;
  for (; row + kRows <= block.rows; row += kRows) body(Index<kRows>(), block.at + row * block.stride);
  for (; row < block.rows; ++row) body(Index<1>(), block.at + row * block.stride);
}

/// A value for each column, or for each channel. Whole packs may be read and written at its end.
template <class V>
struct Columns {
  alignas(64) V values[kColumns + 2 * HWY_MAX_BYTES / sizeof(V)];
};

/// How many rows of `width` values to make one: as many as fill whole vectors, and then more of them.
HWY_INLINE std::int64_t rows_to_fold(std::int64_t width, std::int64_t lanes, std::int64_t outer) {
  std::int64_t unit = lanes / std::gcd(lanes, width);
  if (unit * width > kSummedColumns) unit = 1;
  return std::min(outer, unit * std::max<std::int64_t>(1, kFoldedColumns / (unit * width)));
}

/// visit(ColumnBlock) for each set of at most `columns` columns, with all rows; folding may leave over a last
/// row of its own.
template <class T, class Visit>
HWY_INLINE void for_each_strip(const Tile& tile, std::int64_t columns, const Visit& visit) {
  const std::int64_t width = tile.channels * tile.inner;
  if (width <= columns && (tile.outer_stride == width || tile.outer == 1)) {
    const std::int64_t fold = rows_to_fold(width, kLanes<T>, tile.outer);
    const std::int64_t rows = tile.outer / fold;
    const std::int64_t rest = tile.outer % fold;
    visit(ColumnBlock{0, tile.channels, tile.inner, fold, 0, rows, fold * width, 0});
    if (rest == 0) return;
    const std::int64_t before = rows * fold;
    visit(ColumnBlock{0, tile.channels, tile.inner, rest, before * width, 1, 0, before * tile.inner});
    return;
  }
  const std::int64_t step = columns / tile.inner;
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

/// The values of columns j, j + 1, …, as load() brings those columns themselves: for bfloat16, columns are
/// kept in the order of packs' parts.
template <class T>
HWY_INLINE Pack<T> load_columns(const Columns<Compute<T>>& columns, std::int64_t j) {
  const Tag<T> d;
  if constexpr (kParts<T> == 1) {
    return {{hn::LoadU(d, columns.values + j)}};
  } else {
    return {{hn::LoadU(d, columns.values + j), hn::LoadU(d, columns.values + j + kVectorLanes<T>)}};
  }
}
template <class T>
HWY_INLINE void store_columns(const Pack<T>& values, Columns<Compute<T>>& columns, std::int64_t j) {
  for (int p = 0; p < kParts<T>; ++p) {
    hn::StoreU(values.part[p], Tag<T>(), columns.values + j + p * kVectorLanes<T>);
  }
}
template <class T>
HWY_INLINE void to_pack_order(std::int64_t count, Columns<Compute<T>>& columns) {
  if constexpr (kParts<T> == 1) return;
  const Tag<T> d;
  for (std::int64_t j = 0; j < count; j += kLanes<T>) {
    Pack<T> pack;
    hn::LoadInterleaved2(d, columns.values + j, pack.part[0], pack.part[kParts<T> - 1]);
    store_columns<T>(pack, columns, j);
  }
}
template <class T>
HWY_INLINE void from_pack_order(std::int64_t count, Columns<Compute<T>>& columns) {
  if constexpr (kParts<T> == 1) return;
  for (std::int64_t j = 0; j < count; j += kLanes<T>) {
    const auto pack = load_columns<T>(columns, j);
    hn::StoreInterleaved2(pack.part[0], pack.part[kParts<T> - 1], Tag<T>(), columns.values + j);
  }
}
template <class T>
HWY_INLINE void clear_columns(std::int64_t count, Columns<Compute<T>>& columns) {
  std::fill_n(columns.values, count + kLanes<T>, Compute<T>(0));
}

/// Gives each column its channel's value.
template <class T, class V = Compute<T>>
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
  std::fill_n(columns.values + block.columns(), kLanes<T>, V(0));
  to_pack_order<T>(block.columns(), columns);
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

/// Adds `weight` times the sum of each channel's columns to the channel's value. The columns are used up.
template <class T, class V = Compute<T>>
HWY_INLINE void add_columns(Columns<V>& columns, const ColumnBlock& block, double weight,
                            Columns<double>& channels) {
  const Tag<double> d64;
  from_pack_order<T>(block.columns(), columns);
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
    if (needs_centre) spread<T>(by.centre + block.first_channel, block, centre);
    if (!needs_rest) return;
    spread<T>(by.scale + block.first_channel, block, scale);
    spread<T>(by.shift + block.first_channel, block, shift);
  }

  template <bool kNeedsRest>
  HWY_INLINE Affine<T> at(std::int64_t j) const {
    // Each made in its place: GCC copies a pack through memory, in parts too small to be read at once again.
    if constexpr (kNeedsRest) {
      return {load_columns<T>(centre, j), load_columns<T>(scale, j), load_columns<T>(shift, j)};
    } else {
      return {load_columns<T>(centre, j), zeros<T>(), zeros<T>()};
    }
  }

  Columns<V> centre;
  Columns<V> scale;
  Columns<V> shift;
};

/// Calls body(number of rows, offset of the first, j, span) for all packs of columns. Rows go past the caches
/// where all of them begin lines: packs must begin where those of the columns do.
template <class T, int kRows, class Body>
HWY_INLINE void for_each_output_column(const ColumnBlock& block, const T* streamed, const Body& body) {
  const bool streams =
      streamed != nullptr && values_to_line(streamed + block.at) == 0 &&
      (block.rows == 1 || block.stride % (kCacheLine / static_cast<std::int64_t>(sizeof(T))) == 0);
  for_each_rows<kRows>(block, [&](auto rows, std::int64_t at) REFNORM_LAMBDA {
    const auto step = [&](std::int64_t j, auto span) REFNORM_LAMBDA { body(rows, at + j, j, span); };
    if (streams) {
      for_each_pack<T>(0, block.columns(), Streamed(), step);
    } else {
      for_each_pack<T>(0, block.columns(), Whole(), step);
    }
  });
}

template <class T, bool kRelu>
void column_apply(ApplyArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by) {
  for_each_strip<T>(tile, kColumns, [&](const ColumnBlock& strip) REFNORM_LAMBDA {
    const AffineColumns<T> columns(by, strip, true, true);
    for_each_output_column<T, 1>(strip, arrays.streamed(),
                                 [&](auto rows, std::int64_t at, std::int64_t j, auto span) REFNORM_LAMBDA {
                                   const auto affine = columns.template at<true>(j);
                                   for (int row = 0; row < rows; ++row) {
                                     apply_step<T, kRelu>(arrays, at + row * strip.stride, span, affine);
                                   }
                                 });
  });
}

template <class T, Gate kGate>
void column_gradient_apply(GradientArrays<T> arrays, Tile tile, const ForwardCoefficients<Compute<T>>& by,
                           const BackwardCoefficients<Compute<T>>& gradient) {
  using V = Compute<T>;
  const bool wanted = arrays.dx != nullptr;
  for_each_strip<T>(tile, kColumns, [&](const ColumnBlock& strip) REFNORM_LAMBDA {
    const AffineColumns<T> columns(by, strip, wanted || kGate == Gate::kInput, kGate == Gate::kInput);
    Columns<V> g_scale;
    Columns<V> x_scale;
    Columns<V> shift;
    if (wanted) {
      spread<T>(gradient.g_scale + strip.first_channel, strip, g_scale);
      spread<T>(gradient.x_scale + strip.first_channel, strip, x_scale);
      spread<T>(gradient.shift + strip.first_channel, strip, shift);
    }
    const auto sweep = [&](auto rows, std::int64_t at, std::int64_t j, auto span) REFNORM_LAMBDA {
      const auto affine = columns.template at<kGate == Gate::kInput>(j);
      const GradientStep<T> step{load_columns<T>(g_scale, j), load_columns<T>(x_scale, j),
                                 load_columns<T>(shift, j)};
      for (int row = 0; row < rows; ++row) {
        const std::int64_t place = at + row * strip.stride;
        hwy::Prefetch(arrays.x + place + rows * strip.stride);
        hwy::Prefetch(arrays.dy + place + rows * strip.stride);
        gradient_step<T, kGate>(arrays, place, span, affine, step);
      }
    };
    // Rows that lie a multiple of this apart displace each other from the first-level cache; and several rows
    // at once are more lines than the processor gathers on their way past the caches. bfloat16 gains more by
    // loading its many coefficients once than it loses by that.
    const bool collide = strip.stride * static_cast<std::int64_t>(sizeof(T)) % kSetsBytes == 0;
    if (collide || (arrays.caching.stream && !kIsBfloat16<T>)) {
      for_each_output_column<T, 1>(strip, arrays.streamed(), sweep);
    } else {
      for_each_output_column<T, kGroup>(strip, arrays.streamed(), sweep);
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#endif
