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
  std::string name, what;
};

std::vector<SamplerKind> sampler_kinds();

/// Throws UserError for an unknown kind or a batch larger than the set.
std::unique_ptr<Sampler> make_sampler(const std::string& kind, std::int64_t samples, std::int64_t batch_size,
                                      std::uint64_t seed);

}  // namespace refnorm::data
