#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace refnorm::kernels {

/// How x[N, C, S] lies in memory: a channel's S positions side by side (NCHW), or the C channels of a
/// position (NHWC).
enum class Layout { kPlanar, kChannelsLast };

struct Shape {
  std::int64_t samples = 0;
  std::int64_t channels = 0;
  std::int64_t positions = 0;
  Layout layout = Layout::kPlanar;
  std::int64_t values() const { return samples * channels * positions; }
};

/// Which values share statistics: those of `samples` consecutive samples and `channels` consecutive channels,
/// at all positions. {N, 1} is batch norm's, {1, 1} instance norm's, {1, C} layer norm's, {1, C/G} group
/// norm's, {v, 1} that of virtual batches. Where N is no multiple of `samples`, the last set takes the rest.
struct Partition {
  /// All samples of the batch, and those of other processes where these are counted in (Blend::joint_values).
  static constexpr std::int64_t kBatch = std::numeric_limits<std::int64_t>::max();
  std::int64_t samples = 0;
  std::int64_t channels = 0;
};

/// Batch renormalization's correction towards stored statistics t: y is multiplied by
/// r = sqrt((V + eps)/(t_var + eps)) clipped to [1/r_max, r_max] and shifted by d = (M − t_mean)/sqrt(t_var +
/// eps) clipped to [−d_max, d_max], before weight and bias. r and d count as constants in the gradient.
struct Renormalization {
  std::span<const double> mean, var;  ///< [C]; empty: no correction
  double r_max = 1;
  double d_max = 0;
};

/// What values are normalized by: M and V of each (sample, channel), blended of the statistics of several
/// sources k,
///
///     M = sum a_k mu_k,   V = sum b_k var_k  [+ sum a_k (mu_k − M)^2 for a mixture],
///     x^ = (x − M)/sqrt(V + eps),   y = weight · (r · x^ + d) + bias
///
/// The sources are the partitions' own sets, then the reference's: either the first `reference_rows` samples'
/// (per channel; those samples themselves are normalized by their own statistics alone, and belong to no set
/// of the partitions), or stored numbers. Variances are biased.
struct Blend {
  std::vector<Partition> partitions;
  std::int64_t reference_rows = 0;
  std::span<const double> stored_mean, stored_var;  ///< [C]; used where reference_rows is 0; may be empty
  std::vector<double> mean_weights, var_weights;    ///< a_k and b_k, one a source
  bool mixture = false;
  double eps = 0;
  Renormalization renormalization;
  /// Values of a channel in the batches of all processes together, whose statistics the sets of kBatch
  /// samples then have; 0: those sets are of this process's batch.
  std::int64_t joint_values = 0;
};

/// A rectangle of cells: blocks [block_begin, block_end) x channels [channel_begin, channel_end).
struct Region {
  std::int64_t block_begin = 0, block_end = 0;
  std::int64_t channel_begin = 0, channel_end = 0;
};

/// The geometry of a blend over one tensor. A *cell* is a channel of a block of samples, the smallest piece
/// that no set divides; sets are unions of cells. All numbers of cells lie as [blocks, C].
class StatisticSets {
 public:
  /// Where a source's sets lie in the arrays that hold all sets' numbers, as [blocks, groups].
  struct Source {
    std::int64_t offset = 0;
    std::int64_t blocks = 0, groups = 0;
    std::int64_t cells_per_block = 0, channels_per_group = 0;
    bool joint = false;  ///< values of other processes belong to the sets, too
  };

  /// Throws std::invalid_argument where partitions do not nest, channels do not divide, or the numbers of
  /// weights and sources differ.
  StatisticSets(const Shape& shape, const Blend& blend);

  std::int64_t blocks() const { return static_cast<std::int64_t>(bounds_.size()) - 1; }
  std::int64_t cells() const { return blocks() * shape_.channels; }
  std::int64_t block_begin(std::int64_t block) const { return bounds_[static_cast<std::size_t>(block)]; }
  std::int64_t block_samples(std::int64_t block) const { return block_begin(block + 1) - block_begin(block); }
  /// Values in a cell of the block.
  std::int64_t cell_values(std::int64_t block) const { return block_samples(block) * shape_.positions; }

  /// The computed sources: the partitions, then the live reference where there is one.
  const std::vector<Source>& sources() const { return sources_; }
  /// Sets of all computed sources together.
  std::int64_t sets() const { return sets_; }
  /// Whether some source has sets of several processes.
  bool joint() const;
  bool has_reference_block() const { return reference_block_; }
  bool has_stored() const { return stored_; }

  /// Whether a block's cells belong to sets of source k. (Those of the reference have its statistics only.)
  bool takes_part(std::size_t k, std::int64_t block) const {
    return block > 0 || !reference_block_ || of_reference(k);
  }
  /// The first set of source k that cells of the block belong to; the others follow, one a group of channels.
  std::int64_t row_of(std::size_t k, std::int64_t block) const {
    const Source& source = sources_[k];
    if (source.cells_per_block > 1 || of_reference(k)) return source.offset;
    return source.offset + (block - (reference_block_ ? 1 : 0)) * source.groups;
  }
  /// Values in each of those sets, and those of this process among them.
  double row_values(std::size_t k, std::int64_t block) const;
  double own_row_values(std::size_t k, std::int64_t block) const;
  /// body(set, channel_begin, channel_end) for each group of source k in a range of channels that begins and
  /// ends with groups.
  template <class Body>
  void for_each_group(std::size_t k, std::int64_t block, std::int64_t begin, std::int64_t end,
                      const Body& body) const {
    const std::int64_t width = sources_[k].channels_per_group;
    std::int64_t set = row_of(k, block) + (width == 1 ? begin : begin / width);
    for (std::int64_t c = begin; c < end; c += width) body(set++, c, c + width);
  }

  /// Cells whose statistics depend on each other lie within rectangles of so many blocks x channels.
  std::int64_t component_blocks() const { return component_blocks_; }
  std::int64_t component_channels() const { return component_channels_; }
  Region whole() const { return {0, blocks(), 0, shape_.channels}; }

  /// Neighbouring channels that every computed source has in one set: their moments may be taken together.
  std::int64_t joint_channels() const;
  /// Merges cells' moments into sets' means and biased variances (Chan's formula over all cells at once), for
  /// the sets of a region of whole components. `joint` neighbouring channels have their moments in common,
  /// which lie as [blocks, C / joint].
  void gather(const Region& region, std::int64_t joint, const double* cell_mean, const double* cell_m2,
              double* mean, double* var) const;

 private:
  void add_source(const Partition& partition, std::int64_t own_samples, std::int64_t unit);
  bool of_reference(std::size_t k) const { return reference_block_ && k + 1 == sources_.size(); }
  /// The blocks that a block shares source k's sets with, as a region without channels.
  Region blocks_of(std::size_t k, std::int64_t block) const;
  void gather_set(const Region& cells, std::int64_t joint, std::int64_t set, const double* cell_mean,
                  const double* cell_m2, double* mean, double* var) const;

  Shape shape_;
  bool reference_block_ = false;
  bool stored_ = false;
  std::int64_t joint_values_ = 0;
  std::vector<std::int64_t> bounds_;
  std::vector<Source> sources_;
  std::int64_t sets_ = 0;
  std::int64_t component_blocks_ = 1, component_channels_ = 1;
};

}  // namespace refnorm::kernels
