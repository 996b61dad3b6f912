#pragma once

#include <cstdint>
#include <vector>

#include <refnorm/base/random.h>
#include <refnorm/data/sampler.h>

namespace refnorm::data {

using Indices = std::vector<std::int64_t>;

struct EpochTask {
  std::int64_t samples, batch_size;
  std::uint64_t seed;
};

/// A sampler that lays out an epoch at a time: whole batches, one behind the other. What is over waits for
/// another epoch.
class EpochSampler : public Sampler {
 public:
  explicit EpochSampler(const EpochTask& task) : task_(task) {}

  std::int64_t batches_per_epoch() const override { return task_.samples / task_.batch_size; }
  Indices batch(std::int64_t epoch, std::int64_t place) override;

 protected:
  /// At least batches_per_epoch() · batch_size() samples.
  virtual Indices order(RandomStream& random) const = 0;
  std::int64_t samples() const { return task_.samples; }
  std::int64_t batch_size() const { return task_.batch_size; }

 private:
  EpochTask task_;
  std::int64_t epoch_ = -1;
  Indices order_;
};

/// The places of each value that occurs, values in ascending order.
std::vector<Indices> by_value(const Indices& values);

Indices shuffled(const Indices& values, RandomStream& random);

}  // namespace refnorm::data
