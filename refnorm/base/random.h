#pragma once

#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

namespace refnorm {

/// A seed for one purpose, derived from the run's seed: streams of different names (or of different `index`,
/// such as an epoch) are independent, so that what one purpose draws never shifts what another one sees.
std::uint64_t stream_seed(std::uint64_t seed, std::string_view name, std::uint64_t index = 0);

/// A stream of random numbers whose results are the same on every platform and standard library.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name, std::uint64_t index = 0)
      : engine_(stream_seed(seed, name, index)) {}

  /// Uniform over 0 … bound − 1, without bias. Requires bound > 0.
  std::uint64_t below(std::uint64_t bound);

  /// Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }

  /// From the normal distribution of mean 0 and deviation 1.
  double normal();

  /// From the gamma distribution of that shape and scale 1. Requires shape > 0; may underflow to 0 where it
  /// is tiny.
  double gamma(double shape);

  /// A random permutation of 0 … count − 1.
  std::vector<std::int64_t> permutation(std::int64_t count);

 private:
  std::mt19937_64 engine_;
};

}  // namespace refnorm
