#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <refnorm/base/random.h>

namespace refnorm {
namespace {

TEST(RandomStream, EngineIsTheStandards) {
  // [rand.predef]: the 10000th value of a default-constructed mt19937_64.
  std::mt19937_64 engine;
  engine.discard(9999);
  EXPECT_EQ(engine(), 9981545732273789042U);
}

// Of n normal numbers, the mean has the deviation 1/sqrt(n), the variance sqrt(2/n), and the share beyond 2,
// which is 0.0455, sqrt(0.0455 · 0.9545 / n).
TEST(RandomStream, NormalNumbers) {
  RandomStream random(6, "normal");
  const double n = 200000;
  double sum = 0;
  double squares = 0;
  double beyond = 0;
  for (int i = 0; i < 200000; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
    beyond += std::abs(value) > 2 ? 1 : 0;
  }
  EXPECT_NEAR(sum / n, 0, 4 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 4 * std::sqrt(2 / n));
  EXPECT_NEAR(beyond / n, 0.0455, 4 * std::sqrt(0.0455 * 0.9545 / n));
}

// Derived with an independent implementation (Python integers) of SplitMix64's finalizer, checked against
// that generator's published first output for seed 0 (0xe220a8397b1dcdaf), and of MT19937-64, checked against
// the value above.
TEST(RandomStream, GoldenValues) {
  EXPECT_EQ(stream_seed(0, "", 0), 0xa7f72697a2731486U);
  EXPECT_EQ(stream_seed(1, "sampler", 3), 0x77394b520917d9U);
  EXPECT_EQ(stream_seed(42,
                        "donn\xc3\xa9"
                        "es"),
            0x74b6448b1f808e1cU);  // bytes above 127 count as unsigned
  RandomStream numbers(42, "golden", 7);
  for (const std::uint64_t expected : {841, 552, 115, 255, 586, 770, 970, 208})
    EXPECT_EQ(numbers.below(1000), expected);
  RandomStream order(42, "golden", 7);
  EXPECT_EQ(order.permutation(10), (std::vector<std::int64_t>{9, 4, 7, 2, 8, 6, 0, 3, 5, 1}));
  RandomStream uniform(42, "golden", 7);
  EXPECT_EQ(uniform.uniform(), 0x1.b0939b362b3c1p-1);
}

TEST(RandomStream, EachSeedNameAndIndexIsAStreamOfItsOwn) {
  std::set<std::uint64_t> seeds;
  std::size_t made = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const char* name : {"", "a", "b", "ab", "ba", "sampler", "reference", "init"}) {
      for (std::uint64_t index = 0; index < 100; ++index, ++made)
        seeds.insert(stream_seed(seed, name, index));
    }
  }
  EXPECT_EQ(seeds.size(), made);  // a collision of 16,000 among 2^64 has a chance of 1e-11
}

double correlation(RandomStream a, RandomStream b) {
  constexpr int kDraws = 100000;
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) sum += (a.uniform() - 0.5) * (b.uniform() - 0.5);
  return sum / kDraws * 12;  // the variance of a uniform number is 1/12
}

TEST(RandomStream, StreamsAreUncorrelated) {
  const double bound = 5 / std::sqrt(100000.0);  // five standard deviations of an estimate of zero
  EXPECT_LT(std::abs(correlation({1, "sampler"}, {1, "reference"})), bound);
  EXPECT_LT(std::abs(correlation({1, "sampler", 0}, {1, "sampler", 1})), bound);
  EXPECT_LT(std::abs(correlation({1, "sampler"}, {2, "sampler"})), bound);
  EXPECT_GT(correlation({1, "sampler"}, {1, "sampler"}), 0.9);
}

TEST(RandomStream, PermutationHoldsEachNumberOnce) {
  RandomStream random(7, "permutation");
  for (const std::int64_t count : {0, 1, 2, 3, 1000}) {
    std::vector<std::int64_t> order = random.permutation(count);
    std::sort(order.begin(), order.end());
    std::vector<std::int64_t> expected(static_cast<std::size_t>(count));
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(order, expected);
  }
}

// Bounds of the chi-square tests: the 99.99 % quantile, 33.72 for 9 degrees of freedom and 25.74 for 5.
TEST(RandomStream, BelowIsUniform) {
  RandomStream random(3, "below");
  std::array<int, 10> counts{};
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.below(counts.size()));
  double chi_square = 0;
  for (const int count : counts) chi_square += std::pow(count - kDraws / 10.0, 2) / (kDraws / 10.0);
  EXPECT_LT(chi_square, 33.72);
}

TEST(RandomStream, PermutationsAreUniform) {
  RandomStream random(3, "permutations");
  std::map<std::vector<std::int64_t>, int> counts;
  constexpr int kDraws = 60000;
  for (int i = 0; i < kDraws; ++i) ++counts[random.permutation(3)];
  ASSERT_EQ(counts.size(), 6U);
  double chi_square = 0;
  for (const auto& [order, count] : counts) chi_square += std::pow(count - kDraws / 6.0, 2) / (kDraws / 6.0);
  EXPECT_LT(chi_square, 25.74);
}

TEST(RandomStream, BelowIsUnbiasedForLargeBounds) {
  // Plain modulo would give the lowest of the three quarters of 2^64 half of the draws instead of a third.
  constexpr std::uint64_t kQuarter = std::uint64_t{1} << 62;
  constexpr int kDraws = 30000;
  RandomStream random(4, "large");
  int low = 0;
  for (int i = 0; i < kDraws; ++i) low += random.below(3 * kQuarter) < kQuarter ? 1 : 0;
  const double deviation = std::sqrt(kDraws * (1.0 / 3) * (2.0 / 3));
  EXPECT_NEAR(low, kDraws / 3.0, 5 * deviation);
}

TEST(RandomStream, EdgesOfTheRange) {
  RandomStream random(5, "edges");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0U);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LT(random.below(UINT64_MAX), UINT64_MAX);
    const double value = random.uniform();
    EXPECT_GE(value, 0);
    EXPECT_LT(value, 1);
  }
}

// Mean and variance of the gamma distribution are both its shape; its fourth central moment is 3 k^2 + 6 k.
TEST(RandomStream, GammaHasItsMoments) {
  for (const double shape : {0.1, 1.0, 7.0}) {
    RandomStream random(1, "gamma");
    constexpr int kDraws = 100000;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double value = random.gamma(shape);
      sum += value;
      squares += (value - shape) * (value - shape);
    }
    EXPECT_NEAR(sum / kDraws, shape, 4 * std::sqrt(shape / kDraws));
    EXPECT_NEAR(squares / kDraws, shape,
                4 * std::sqrt((3 * shape * shape + 6 * shape - shape * shape) / kDraws));
  }
}

}  // namespace
}  // namespace refnorm
