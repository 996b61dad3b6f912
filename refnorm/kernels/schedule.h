#pragma once

#include <vector>

#include <refnorm/kernels/statistic_sets.h>
#include <refnorm/kernels/sweeps.h>

namespace refnorm::kernels {

/// How a tensor is cut for the sweeps.
/// - fused: into chunks of whole components that stay in a core's cache between the sweep that takes their
///   moments and the one that uses them;
/// - phased: into slices, where components are too large or too few for that: all moments first, then all
///   coefficients, then the second sweep. A slice is a part of a block's rows (channels_last) or of its
///   channels (planar).
class Schedule {
 public:
  struct Slice {
    std::int64_t block = 0;
    std::int64_t row_begin = 0, row_end = 0;  ///< of all N·S rows; channels_last only
    std::int64_t channel_begin = 0, channel_end = 0;
    std::int64_t part = 0;  ///< which of the parts of its block
  };

  /// `bytes_per_value`: over all arrays that a chunk touches.
  Schedule(const Shape& shape, const StatisticSets& sets, int workers, std::int64_t bytes_per_value);

  bool fused() const { return !chunks_.empty(); }
  const std::vector<Region>& chunks() const { return chunks_; }
  const std::vector<Slice>& slices() const { return slices_; }
  /// Parts that a block's cells are cut into; their moments and sums lie as [parts, blocks, C].
  std::int64_t parts() const { return parts_; }

  struct Piece {
    std::int64_t offset = 0;
    Tile tile;
  };
  /// Where the cells of one block of a region lie, and where a slice lies.
  Piece piece(std::int64_t block, const Region& region) const;
  Piece piece(const Slice& slice) const;
  /// How much of a tile's outer dimension fits into a cache.
  std::int64_t cached_outer(const Tile& tile) const;

 private:
  void cut_chunks(std::int64_t blocks, std::int64_t channels);
  void cut_slices(int workers);
  bool by_rows() const { return shape_.layout == Layout::kChannelsLast || shape_.positions == 1; }

  Shape shape_;
  const StatisticSets& sets_;
  std::int64_t bytes_per_value_;
  std::vector<Region> chunks_;
  std::vector<Slice> slices_;
  std::int64_t parts_ = 1;
};

}  // namespace refnorm::kernels
