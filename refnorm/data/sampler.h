#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace refnorm::data {

/// Decides which samples form a batch. A batch depends only on the seed, the epoch and its place, so that a
/// run that goes on from a checkpoint sees the batches that it would have seen.
class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual std::int64_t batches_per_epoch() const = 0;
  /// Indices into the training set.
  virtual std::vector<std::int64_t> batch(std::int64_t epoch, std::int64_t place) = 0;
};

struct SamplerKind {
  std::string name;  ///< as a recipe has it, such as "iid" or "pk:P"
  std::string what;
};

std::vector<SamplerKind> sampler_kinds();

/// `spec` is a kind with its value, such as "iid", "pk:4" or "dirichlet:0.1"; `labels` are those of all
/// samples of the set. Throws UserError for an unknown kind, a value out of range and a batch that the kind
/// or the set cannot fill.
std::unique_ptr<Sampler> make_sampler(const std::string& spec, std::vector<std::int64_t> labels,
                                      std::int64_t batch_size, std::uint64_t seed);

}  // namespace refnorm::data
