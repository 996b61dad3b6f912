#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/sweep_cases.h"

namespace refnorm::kernels {
namespace {

struct Moments {
  std::vector<double> mean;
  std::vector<double> m2;
};

template <class T>
Moments moments(const Sweeps<T>& with, const std::vector<T>& x, const Tile& tile) {
  const auto channels = static_cast<std::size_t>(tile.channels);
  Moments result{std::vector<double>(channels, 77), std::vector<double>(channels, 77)};
  with.moments(x.data() + kOffset, tile, result.mean.data(), result.m2.data());
  return result;
}

template <class T>
void expect_moments(const Sweeps<T>& with, const std::vector<T>& x, const Tile& tile) {
  const Moments got = moments(with, x, tile);
  const Moments again = moments(with, x, tile);
  ASSERT_TRUE(same_bits(got.mean, again.mean) && same_bits(got.m2, again.m2)) << "differs from run to run";
  const Moments want = moments(plain_sweeps<double>(), to_doubles(x), tile);
  double largest = 0;
  for_each_value(
      tile, [&](std::int64_t, std::size_t at) { largest = std::max(largest, std::abs(to_double(x[at]))); });
  const double count = static_cast<double>(tile.outer * tile.inner);
  // Lanes sum deviations from a block's mean, whose mean size is at most the standard deviation; the
  // reference sums the values themselves, in double.
  const double reference = count * 0x1p-53 * largest;
  for (std::size_t c = 0; c < got.mean.size(); ++c) {
    const double deviation = std::sqrt(want.m2[c] / count);
    ASSERT_NEAR(got.mean[c], want.mean[c], kAdditions * kUnit<T> * deviation + reference) << "channel " << c;
    const double relative = (kAdditions + 4) * kUnit<T> + count * 0x1p-53;
    ASSERT_NEAR(got.m2[c], want.m2[c], relative * want.m2[c] + count * reference * reference)
        << "channel " << c;
  }
}

class SimdMoments : public EachInstructionSet {};

INSTANTIATE_TEST_SUITE_P(Machine, SimdMoments, testing::ValuesIn(instruction_sets()),
                         [](const auto& set) { return set.param; });

TEST_P(SimdMoments, MomentsAreThoseOfDouble) {
  for_each_tile([&]<class T>(const Sweeps<T>& with, const Tile& tile) {
    expect_moments(with, random_values<T>(tile, random), tile);
  });
}

TEST_P(SimdMoments, MomentsHoldOutFarFromZero) {
  for (const Tile& tile : kShapes) {
    SCOPED_TRACE(text(tile));
    std::vector<float> x = random_values<float>(tile, random);
    for (float& value : x) value += 1e4F;
    expect_moments(sweeps<float>(GetParam()), x, tile);
  }
}

TEST_P(SimdMoments, MomentsHoldOutAgainstAFirstValueFarFromTheOthers) {
  for (const double outlier : {1e3, -1e6}) {
    for_each_type([&]<class T>(const Sweeps<T>& with) {
      for (const Tile& tile : kShapes) {
        SCOPED_TRACE(text(tile));
        std::vector<T> x = random_values<T>(tile, random);
        for (std::int64_t c = 0; c < tile.channels; ++c) {
          x[static_cast<std::size_t>(kOffset + c * tile.inner)] = from_double<T>(outlier);
        }
        expect_moments(with, x, tile);
      }
    });
  }
}

TEST_P(SimdMoments, AConstantChannelHasNoVarianceAtAll) {
  for (const double constant : {0.0, 0.1, -1e4, 3e-5, 1e30}) {
    for_each_type([&]<class T>(const Sweeps<T>& with) {
      for (const Tile& tile : kShapes) {
        SCOPED_TRACE(text(tile));
        const T value = from_double<T>(constant);
        const std::vector<T> x(static_cast<std::size_t>(kOffset + extent(tile)), value);
        const Moments got = moments(with, x, tile);
        if (GetParam() == "plain") continue;  // its mean is rounded, in double
        for (std::size_t c = 0; c < got.mean.size(); ++c) {
          ASSERT_EQ(got.mean[c], to_double(value));
          ASSERT_EQ(got.m2[c], 0);
        }
      }
    });
  }
}

TEST_P(SimdMoments, OneValueIsItsMeanAndNoValuesHaveZeros) {
  for_each_type([&]<class T>(const Sweeps<T>& with) {
    const std::vector<T> x(8, from_double<T>(0.3));
    const Moments one = moments(with, x, Tile{1, 5, 5, 1});
    ASSERT_EQ(one.mean, std::vector<double>(5, to_double(x[0])));
    ASSERT_EQ(one.m2, std::vector<double>(5, 0));
    for (const Tile& empty : {Tile{0, 5, 5, 1}, Tile{3, 0, 5, 0}, Tile{0, 500, 5, 100}}) {
      const Moments none = moments(with, x, empty);
      ASSERT_EQ(none.mean, std::vector<double>(5, 0));
      ASSERT_EQ(none.m2, std::vector<double>(5, 0));
      std::vector<double> g(5, 77), gx(5, 77);
      with.gradient_sums(nullptr, nullptr, {}, empty, {}, g.data(), gx.data());
      ASSERT_EQ(g, std::vector<double>(5, 0));
      ASSERT_EQ(gx, std::vector<double>(5, 0));
      with.apply(nullptr, nullptr, nullptr, empty, {}, true, {});
      with.gradient_apply(nullptr, nullptr, {true, nullptr}, nullptr, nullptr, empty, {}, {}, {});
    }
  });
}

TEST_P(SimdMoments, WhatIsNotFiniteStaysInItsChannel) {
  for (const double odd : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    for_each_type([&]<class T>(const Sweeps<T>& with) {
      for (const Tile& tile : kShapes) {
        SCOPED_TRACE(text(tile));
        std::vector<T> x = random_values<T>(tile, random);
        const Moments before = moments(with, x, tile);
        const std::int64_t hit = tile.channels / 2;
        x[static_cast<std::size_t>(kOffset + (tile.outer / 2) * tile.outer_stride + hit * tile.inner)] =
            from_double<T>(odd);
        const Moments after = moments(with, x, tile);
        for (std::int64_t channel = 0; channel < tile.channels; ++channel) {
          const auto c = static_cast<std::size_t>(channel);
          if (channel == hit) {
            ASSERT_FALSE(std::isfinite(after.mean[c]));
            ASSERT_TRUE(std::isnan(after.m2[c]));
          } else {
            ASSERT_EQ(after.mean[c], before.mean[c]);
            ASSERT_EQ(after.m2[c], before.m2[c]);
          }
        }
      }
    });
  }
}

TEST_P(SimdMoments, MomentsOfValuesWhoseSquaresOverflowAreThoseOfDouble) {
  for (const Tile& tile : kShapes) {
    SCOPED_TRACE(text(tile));
    std::vector<float> x = random_values<float>(tile, random);
    for (float& value : x) value *= 1e37F;
    const Moments got = moments(sweeps<float>(GetParam()), x, tile);
    const Moments want = moments(plain_sweeps<double>(), to_doubles(x), tile);
    for (std::size_t c = 0; c < got.mean.size(); ++c) {
      ASSERT_NEAR(got.mean[c], want.mean[c], 1e-9 * std::sqrt(want.m2[c]));
      ASSERT_NEAR(got.m2[c], want.m2[c], 1e-9 * want.m2[c]);
    }
  }
}

}  // namespace
}  // namespace refnorm::kernels
