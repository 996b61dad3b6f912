#include <algorithm>

#include <refnorm/kernels/schedule.h>

namespace refnorm::kernels {
namespace {

/// What a chunk may take of a core's second-level cache.
constexpr std::int64_t kChunkBytes = std::int64_t{256} << 10;
/// Above this, reading a part of the channels in short pieces costs more than a second pass over whole rows.
constexpr std::int64_t kLargestFusedRows = std::int64_t{128} << 10;
/// Channels that a chunk of rows has at least: whole cache lines, and full vectors.
constexpr std::int64_t kRowChannels = 32;
/// Rows are cut where a gate's bytes begin.
constexpr std::int64_t kGateChannels = 8;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

Schedule::Schedule(const Shape& shape, const StatisticSets& sets, int workers, std::int64_t bytes_per_value)
    : shape_(shape), sets_(sets), bytes_per_value_(bytes_per_value) {
  const std::int64_t blocks = sets.blocks();
  std::int64_t unit_blocks = sets.component_blocks();
  std::int64_t unit_channels = sets.component_channels();
  if (by_rows())
    unit_channels = std::min(shape.channels, ceil_div(kRowChannels, unit_channels) * unit_channels);
  if (unit_channels % kGateChannels != 0) unit_channels = by_rows() ? shape.channels : unit_channels;
  const std::int64_t unit_samples = ceil_div(shape.samples * unit_blocks, std::max<std::int64_t>(blocks, 1));
  const auto bytes = [&] { return unit_samples * shape.positions * unit_channels * bytes_per_value; };
  // In rows, a chunk of some of the channels is read in short pieces: only worth it while it stays in cache.
  if (by_rows() && unit_channels < shape.channels && bytes() > kLargestFusedRows)
    unit_channels = shape.channels;
  const std::int64_t unit_bytes = bytes();
  const std::int64_t units = ceil_div(blocks, unit_blocks) * ceil_div(shape.channels, unit_channels);
  if (units < workers || blocks == 0) {
    cut_slices(workers);
    return;
  }
  const std::int64_t wanted = std::max<std::int64_t>(
      1, std::min(kChunkBytes / std::max<std::int64_t>(unit_bytes, 1), units / workers));
  const std::int64_t units_across = ceil_div(shape.channels, unit_channels);
  cut_chunks(unit_blocks * std::max<std::int64_t>(1, wanted / units_across),
             unit_channels * std::min(wanted, units_across));
}

void Schedule::cut_chunks(std::int64_t blocks, std::int64_t channels) {
  for (std::int64_t b = 0; b < sets_.blocks(); b += blocks) {
    for (std::int64_t c = 0; c < shape_.channels; c += channels) {
      chunks_.push_back(
          {b, std::min(b + blocks, sets_.blocks()), c, std::min(c + channels, shape_.channels)});
    }
  }
}

void Schedule::cut_slices(int workers) {
  const std::int64_t blocks = sets_.blocks();
  const std::int64_t across = ceil_div(std::int64_t{4} * workers, std::max<std::int64_t>(blocks, 1));
  if (by_rows()) parts_ = ceil_div(workers, std::max<std::int64_t>(blocks, 1));
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t begin = sets_.block_begin(b) * shape_.positions;
    const std::int64_t rows = sets_.cell_values(b);
    if (by_rows()) {
      for (std::int64_t part = 0; part < parts_; ++part) {
        slices_.push_back(
            {b, begin + rows * part / parts_, begin + rows * (part + 1) / parts_, 0, shape_.channels, part});
      }
      continue;
    }
    const std::int64_t channels = std::max<std::int64_t>(1, shape_.channels / across);
    for (std::int64_t c = 0; c < shape_.channels; c += channels) {
      slices_.push_back({b, 0, 0, c, std::min(c + channels, shape_.channels), 0});
    }
  }
}

Schedule::Piece Schedule::piece(std::int64_t block, const Region& region) const {
  const std::int64_t channels = region.channel_end - region.channel_begin;
  const std::int64_t first = sets_.block_begin(block);
  if (by_rows()) {
    return {first * shape_.positions * shape_.channels + region.channel_begin,
            {sets_.cell_values(block), shape_.channels, channels, 1}};
  }
  return {(first * shape_.channels + region.channel_begin) * shape_.positions,
          {sets_.block_samples(block), shape_.channels * shape_.positions, channels, shape_.positions}};
}

Schedule::Piece Schedule::piece(const Slice& slice) const {
  if (!by_rows())
    return piece(slice.block, {slice.block, slice.block + 1, slice.channel_begin, slice.channel_end});
  return {slice.row_begin * shape_.channels,
          {slice.row_end - slice.row_begin, shape_.channels, shape_.channels, 1}};
}

std::int64_t Schedule::cached_outer(const Tile& tile) const {
  return std::max<std::int64_t>(
      1, kChunkBytes / std::max<std::int64_t>(1, tile.channels * tile.inner * bytes_per_value_));
}

}  // namespace refnorm::kernels
