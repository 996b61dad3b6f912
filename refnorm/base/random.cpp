#include <numeric>
#include <utility>

#include <boost/random/gamma_distribution.hpp>
#include <boost/random/normal_distribution.hpp>

#include <refnorm/base/random.h>

namespace refnorm {
namespace {

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes every output bit.
std::uint64_t mix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::uint64_t stream_seed(std::uint64_t seed, std::string_view name, std::uint64_t index) {
  std::uint64_t state = mix(seed);
  for (const char c : name) state = mix(state ^ static_cast<unsigned char>(c));
  return mix(mix(state) ^ mix(index));  // mixed once more: seed and index must not be exchangeable
}

std::uint64_t RandomStream::below(std::uint64_t bound) {
  const std::uint64_t unbiased = UINT64_MAX - UINT64_MAX % bound;
  std::uint64_t drawn = engine_();
  while (drawn >= unbiased) drawn = engine_();
  return drawn % bound;
}

// Boost's distributions, unlike the standard library's, are the same everywhere.
double RandomStream::normal() {
  return boost::random::normal_distribution<double>()(engine_);
}

double RandomStream::gamma(double shape) {
  return boost::random::gamma_distribution<double>(shape)(engine_);
}

std::vector<std::int64_t> RandomStream::permutation(std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);
  return order;
}

}  // namespace refnorm
