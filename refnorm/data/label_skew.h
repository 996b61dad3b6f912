#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <refnorm/data/sampler.h>

namespace refnorm::data {

/// How far a batch's labels are from the set's: with p the shares of the labels in the batch and q those in
/// the set, entropy = − sum p log2 p and divergence = sum p log2(p / q), in bits. Drawn i.i.d., a batch of m
/// samples of C labels still has a divergence of about (C − 1) / (2 m ln 2).
struct Skew {
  double entropy = 0, divergence = 0;
};

/// The labels of a set, or the groups in their place, to compare batches with. `labels` are those of all
/// samples.
class LabelSkew {
 public:
  explicit LabelSkew(std::vector<std::int64_t> labels);
  /// Of the samples of these indices. Requires at least one.
  Skew of(std::span<const std::int64_t> indices) const;

 private:
  std::vector<std::size_t> place_;  ///< of each sample's label among those that occur
  std::vector<double> share_;       ///< of each of them in the set
};

/// The mean over an epoch's batches, the first 1,000 of them at most.
Skew mean_skew(const LabelSkew& skew, Sampler& sampler);

/// How often the samples of a set were used by some steps of a run.
struct Uses {
  std::int64_t least = 0, most = 0;
  std::int64_t never = 0;  ///< samples that were not used at all
  double mean = 0;
};
Uses count_uses(Sampler& sampler, const StepPlan& plan, std::int64_t samples, std::int64_t steps);

}  // namespace refnorm::data
