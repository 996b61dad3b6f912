#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <refnorm/kernels/statistic_sets.h>

namespace refnorm::kernels {

StatisticSets::StatisticSets(const Shape& shape, const Blend& blend)
    : shape_(shape),
      reference_block_(blend.reference_rows > 0),
      stored_(!blend.stored_mean.empty()),
      joint_values_(blend.joint_values) {
  const std::int64_t own = shape.samples - blend.reference_rows;
  if (own < 0) throw std::invalid_argument("more reference rows than samples");
  if (reference_block_ && stored_) throw std::invalid_argument("reference rows and a stored reference");
  std::int64_t unit = std::max<std::int64_t>(own, 1);
  for (const Partition& partition : blend.partitions)
    unit = std::min(unit, std::max<std::int64_t>(partition.samples, 1));
  bounds_.push_back(0);
  if (reference_block_) bounds_.push_back(blend.reference_rows);
  for (std::int64_t block = 1; block < own / unit; ++block)
    bounds_.push_back(blend.reference_rows + block * unit);
  if (own > 0) bounds_.push_back(shape.samples);

  for (const Partition& partition : blend.partitions) add_source(partition, own, unit);
  if (reference_block_) {
    sources_.push_back({sets_, 1, shape.channels, 1, 1, false});
    sets_ += shape.channels;
    component_blocks_ = blocks();
  }
  const std::size_t weights = sources_.size() + (stored_ ? 1 : 0);
  if (weights == 0) throw std::invalid_argument("a blend of nothing");
  if (blend.mean_weights.size() != weights || blend.var_weights.size() != weights) {
    throw std::invalid_argument("a blend needs one weight for each of its sources");
  }
}

void StatisticSets::add_source(const Partition& partition, std::int64_t own_samples, std::int64_t unit) {
  if (partition.channels < 1 || shape_.channels % partition.channels != 0) {
    throw std::invalid_argument("channels do not divide into the sets");
  }
  const std::int64_t own_blocks = blocks() - (reference_block_ ? 1 : 0);
  Source source;
  source.offset = sets_;
  source.channels_per_group = partition.channels;
  source.groups = shape_.channels / partition.channels;
  source.joint = joint_values_ > 0 && partition.samples == Partition::kBatch;
  if (partition.samples >= own_samples) {
    source.blocks = 1;
    source.cells_per_block = own_blocks;
  } else if (partition.samples == unit) {
    source.blocks = own_blocks;
    source.cells_per_block = 1;
  } else {
    throw std::invalid_argument("sets of samples do not nest");
  }
  component_blocks_ = std::max({component_blocks_, source.cells_per_block, std::int64_t{1}});
  component_channels_ = std::max(component_channels_, partition.channels);
  sets_ += source.blocks * source.groups;
  sources_.push_back(source);
}

Region StatisticSets::blocks_of(std::size_t k, std::int64_t block) const {
  if (of_reference(k)) return {0, 1, 0, 0};
  if (sources_[k].cells_per_block > 1) return {reference_block_ ? 1 : 0, blocks(), 0, 0};
  return {block, block + 1, 0, 0};
}

bool StatisticSets::joint() const {
  return std::any_of(sources_.begin(), sources_.end(), [](const Source& source) { return source.joint; });
}

double StatisticSets::row_values(std::size_t k, std::int64_t block) const {
  if (!sources_[k].joint) return own_row_values(k, block);
  return static_cast<double>(joint_values_ * sources_[k].channels_per_group);
}

double StatisticSets::own_row_values(std::size_t k, std::int64_t block) const {
  const Region rows = blocks_of(k, block);
  return static_cast<double>((block_begin(rows.block_end) - block_begin(rows.block_begin)) *
                             shape_.positions * sources_[k].channels_per_group);
}

std::int64_t StatisticSets::joint_channels() const {
  std::int64_t joint = 0;
  for (const Source& source : sources_) joint = std::gcd(joint, source.channels_per_group);
  return std::max<std::int64_t>(joint, 1);
}

void StatisticSets::gather_set(const Region& cells, std::int64_t joint, std::int64_t set,
                               const double* cell_mean, const double* cell_m2, double* mean,
                               double* var) const {
  const auto samples = block_begin(cells.block_end) - block_begin(cells.block_begin);
  const auto values =
      static_cast<double>(samples * shape_.positions * (cells.channel_end - cells.channel_begin));
  const auto cell = [&](std::int64_t b, std::int64_t c) { return (b * shape_.channels + c) / joint; };
  if (cells.block_end - cells.block_begin == 1 && cells.channel_end - cells.channel_begin == joint) {
    const std::int64_t only = cell(cells.block_begin, cells.channel_begin);
    mean[set] = cell_mean[only];
    var[set] = cell_m2[only] / values;
    return;
  }
  const auto for_each = [&](const auto& body) {
    for (std::int64_t b = cells.block_begin; b < cells.block_end; ++b) {
      const auto n = static_cast<double>(cell_values(b) * joint);
      const std::int64_t end = cell(b, cells.channel_end);
      for (std::int64_t i = cell(b, cells.channel_begin); i < end; ++i) body(i, n);
    }
  };
  double sum = 0;
  for_each([&](std::int64_t i, double n) { sum += n * cell_mean[i]; });
  const double centre = sum / values;
  double m2 = 0;
  for_each([&](std::int64_t i, double n) {
    const double away = cell_mean[i] - centre;
    m2 += cell_m2[i] + n * away * away;
  });
  mean[set] = centre;
  var[set] = m2 / values;
}

void StatisticSets::gather(const Region& region, std::int64_t joint, const double* cell_mean,
                           const double* cell_m2, double* mean, double* var) const {
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    std::int64_t block = region.block_begin;
    while (block < region.block_end) {
      Region cells = blocks_of(k, block);
      if (!takes_part(k, block)) {
        ++block;
        continue;
      }
      for_each_group(k, block, region.channel_begin, region.channel_end,
                     [&](std::int64_t set, std::int64_t begin, std::int64_t end) {
                       cells.channel_begin = begin;
                       cells.channel_end = end;
                       gather_set(cells, joint, set, cell_mean, cell_m2, mean, var);
                     });
      block = of_reference(k) ? region.block_end : cells.block_end;
    }
  }
}

}  // namespace refnorm::kernels
