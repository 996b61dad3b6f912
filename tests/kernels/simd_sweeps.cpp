#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/kernels/sweep_cases.h"

namespace refnorm::kernels {
namespace {

template <class T>
void expect_apply(const Sweeps<T>& with, const Tile& tile, std::mt19937& random) {
  const std::vector<T> x = random_values<T>(tile, random);
  const std::vector<T> residual = random_values<T>(tile, random);
  const Coefficients<T> by(tile.channels, random);
  const std::vector<bool> is_outside = outside(tile);
  for (const bool relu : {false, true}) {
    for (const bool adds : {false, true}) {
      std::vector<T> y(is_outside.size(), from_double<T>(99));
      with.apply(x.data() + kOffset, adds ? residual.data() + kOffset : nullptr, y.data() + kOffset, tile,
                 by.forward(), relu, {});
      for_each_value(tile, [&](std::int64_t c, std::size_t at) {
        const auto channel = static_cast<std::size_t>(c);
        const double slope = by.doubles[1][channel] * (to_double(x[at]) - by.doubles[0][channel]);
        const double shift = by.doubles[2][channel];
        const double added = adds ? to_double(residual[at]) : 0;
        const double value = slope + shift + added;
        const double want = relu && value <= 0 ? 0 : value;
        // Difference, product and two sums, each rounded once.
        const double rounding = 4 * kUnit<T> * (std::abs(slope) + std::abs(shift) + std::abs(added));
        ASSERT_NEAR(to_double(y[at]), want, rounding + kStored<T> * (std::abs(want) + rounding));
      });
      for (std::size_t at = 0; at < y.size(); ++at) {
        if (!is_outside[at]) continue;
        ASSERT_EQ(to_double(y[at]), 99) << "written outside the tile";
      }
      for (const bool over_residual : {false, true}) {
        if (over_residual && !adds) continue;
        std::vector<T> both = over_residual ? residual : x;
        const T* added = over_residual ? both.data() + kOffset : adds ? residual.data() + kOffset : nullptr;
        with.apply(over_residual ? x.data() + kOffset : both.data() + kOffset, added, both.data() + kOffset,
                   tile, by.forward(), relu, {});
        for_each_value(tile, [&](std::int64_t, std::size_t at) {
          ASSERT_EQ(to_double(both[at]), to_double(y[at])) << "in place";
        });
      }
    }
  }
}

enum class Gating { kNone, kByInput, kByOutput };

/// Where a gradient passes, is told by the output that the same instruction set's `apply` gave: right at
/// zero, double may see another sign.
template <class T>
class Gradients {
 public:
  Gradients(const Sweeps<T>& sweeps, const Tile& shape, std::mt19937& random)
      : with(sweeps),
        tile(shape),
        x(random_values<T>(shape, random)),
        dy(random_values<T>(shape, random)),
        y(x),
        by(shape.channels, random) {
    with.apply(x.data() + kOffset, nullptr, y.data() + kOffset, tile, by.forward(), true, {});
  }

  void expect_sums(Gating gating) const {
    const auto channels = static_cast<std::size_t>(tile.channels);
    std::vector<double> g(channels, 77), gx(channels, 77), size(channels), size_x(channels), want(channels),
        want_x(channels);
    with.gradient_sums(x.data() + kOffset, dy.data() + kOffset, activation(gating), tile, by.forward(),
                       g.data(), gx.data());
    for_each_value(tile, [&](std::int64_t channel, std::size_t at) {
      const auto c = static_cast<std::size_t>(channel);
      const double passed = gate(gating, at);
      const double away = to_double(x[at]) - by.doubles[0][c];
      want[c] += passed;
      want_x[c] += passed * away;
      size[c] += std::abs(passed);
      size_x[c] += std::abs(passed * away);
    });
    // The reference's own additions, all to one double, count in double.
    const double reference = static_cast<double>(tile.outer * tile.inner) * 0x1p-53;
    const double relative = kAdditions * kUnit<T> + reference;
    for (std::size_t c = 0; c < channels; ++c) {
      ASSERT_NEAR(g[c], want[c], relative * size[c]) << "channel " << c;
      ASSERT_NEAR(gx[c], want_x[c], relative * size_x[c]) << "channel " << c;
    }
  }

  void expect_apply(Gating gating) const {
    const std::vector<bool> is_outside = outside(tile);
    std::vector<T> dx(is_outside.size(), from_double<T>(99));
    std::vector<T> dresidual = dx;
    apply(gating, dy, dx.data(), dresidual.data());
    for_each_value(tile, [&](std::int64_t channel, std::size_t at) {
      const auto c = static_cast<std::size_t>(channel);
      const double passed = gate(gating, at);
      ASSERT_EQ(to_double(dresidual[at]), passed) << "the gate differs from the output's sign";
      const double of_g = by.doubles[3][c] * passed;
      const double of_x = by.doubles[4][c] * (to_double(x[at]) - by.doubles[0][c]);
      const double want = of_g + of_x + by.doubles[5][c];
      // Two products, a difference and two sums, each rounded once.
      const double rounding = 5 * kUnit<T> * (std::abs(of_g) + std::abs(of_x) + std::abs(by.doubles[5][c]));
      ASSERT_NEAR(to_double(dx[at]), want, rounding + kStored<T> * (std::abs(want) + rounding));
    });
    for (std::size_t at = 0; at < dx.size(); ++at) {
      if (!is_outside[at]) continue;
      ASSERT_EQ(to_double(dx[at]), 99) << "written outside the tile";
      ASSERT_EQ(to_double(dresidual[at]), 99) << "written outside the tile";
    }
    expect_parts(gating, dx, dresidual);
  }

 private:
  /// Each output alone, and dx written over dy.
  void expect_parts(Gating gating, const std::vector<T>& dx, const std::vector<T>& dresidual) const {
    std::vector<T> alone(dx.size(), from_double<T>(99));
    apply(gating, dy, alone.data(), nullptr);
    ASSERT_TRUE(same_bits(alone, dx)) << "without dresidual";
    alone.assign(dx.size(), from_double<T>(99));
    apply(gating, dy, nullptr, alone.data());
    ASSERT_TRUE(same_bits(alone, dresidual)) << "without dx";
    std::vector<T> both = dy;
    apply(gating, both, both.data(), nullptr);
    for_each_value(tile, [&](std::int64_t, std::size_t at) {
      ASSERT_EQ(to_double(both[at]), to_double(dx[at])) << "in place";
    });
  }

  void apply(Gating gating, const std::vector<T>& from, T* dx, T* dresidual) const {
    with.gradient_apply(
        x.data() + kOffset, from.data() + kOffset, activation(gating), dx == nullptr ? nullptr : dx + kOffset,
        dresidual == nullptr ? nullptr : dresidual + kOffset, tile, by.forward(), by.backward(), {});
  }

  Activation<T> activation(Gating gating) const {
    return {gating != Gating::kNone, gating == Gating::kByOutput ? y.data() + kOffset : nullptr};
  }

  double gate(Gating gating, std::size_t at) const {
    return gating == Gating::kNone || to_double(y[at]) > 0 ? to_double(dy[at]) : 0;
  }

  const Sweeps<T>& with;
  Tile tile;
  std::vector<T> x;
  std::vector<T> dy;
  std::vector<T> y;
  Coefficients<T> by;
};

class SimdSweeps : public EachInstructionSet {};

INSTANTIATE_TEST_SUITE_P(Machine, SimdSweeps, testing::ValuesIn(instruction_sets()),
                         [](const auto& set) { return set.param; });

TEST_P(SimdSweeps, AppliesLikeDouble) {
  for_each_tile([&]<class T>(const Sweeps<T>& with, const Tile& tile) { expect_apply(with, tile, random); });
}

TEST_P(SimdSweeps, SumsGradientsLikeDouble) {
  for_each_tile([&]<class T>(const Sweeps<T>& with, const Tile& tile) {
    const Gradients<T> gradients(with, tile, random);
    for (const auto gating : {Gating::kNone, Gating::kByInput, Gating::kByOutput})
      gradients.expect_sums(gating);
  });
}

TEST_P(SimdSweeps, AppliesGradientsLikeDoubleWithTheGateOfTheOutput) {
  for_each_tile([&]<class T>(const Sweeps<T>& with, const Tile& tile) {
    const Gradients<T> gradients(with, tile, random);
    for (const auto gating : {Gating::kNone, Gating::kByInput, Gating::kByOutput})
      gradients.expect_apply(gating);
  });
}

TEST_P(SimdSweeps, ANotANumberPassesTheActivation) {
  for_each_type([&]<class T>(const Sweeps<T>& with) {
    for (const Tile& tile : kShapes) {
      SCOPED_TRACE(text(tile));
      const Coefficients<T> by(tile.channels, random);
      std::vector<T> x = random_values<T>(tile, random);
      const std::vector<T> dy(x.size(), from_double<T>(2));
      const std::size_t at = x.size() - 1;
      x[at] = from_double<T>(std::nan(""));
      std::vector<T> y(x.size()), g(x.size());
      with.apply(x.data() + kOffset, nullptr, y.data() + kOffset, tile, by.forward(), true, {});
      with.gradient_apply(x.data() + kOffset, dy.data() + kOffset, {true, nullptr}, nullptr,
                          g.data() + kOffset, tile, by.forward(), by.backward(), {});
      if (tile.outer_stride != tile.channels * tile.inner) continue;
      ASSERT_TRUE(std::isnan(to_double(y[at])));
      ASSERT_EQ(to_double(g[at]), 2);
    }
  });
}

TEST_P(SimdSweeps, ReluTurnsBothZerosIntoPlusZero) {
  for_each_type([&]<class T>(const Sweeps<T>& with) {
    using V = Compute<T>;
    const V zero = 0, one = 1, minus_zero = -zero;
    const ForwardCoefficients<V> same{&zero, &one, &minus_zero};
    const std::vector<T> x(100, from_double<T>(-0.0));
    std::vector<T> y(100, from_double<T>(5));
    with.apply(x.data(), nullptr, y.data(), Tile{1, 100, 1, 100}, same, true, {});
    for (const T value : y) ASSERT_FALSE(std::signbit(to_double(value)) || to_double(value) != 0);
  });
}

// Whole lines, runs that end within one, runs that begin within one, rows of channels, a residual.
TEST_P(SimdSweeps, WhatIsKnownOfTheCachesChangesNoBit) {
  for_each_type([&]<class T>(const Sweeps<T>& with) {
    for (const Tile& tile : {Tile{3, 4 * 64, 4, 64}, Tile{2, 5 * 100, 5, 100}, Tile{2, 3 * 49, 3, 49},
                             Tile{40, 64, 64, 1}, Tile{9, 6, 6, 1}, Tile{5, 80, 48, 1}}) {
      const auto count = static_cast<std::size_t>(tile.outer * tile.outer_stride);
      const auto aligned = [&] {
        void* memory = std::aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64);
        std::memset(memory, 0, count * sizeof(T));
        return std::unique_ptr<T, decltype(&std::free)>(static_cast<T*>(memory), &std::free);
      };
      const std::vector<T> x = random_values<T>(tile, random);
      const std::vector<T> dy = random_values<T>(tile, random);
      const Coefficients<T> by(tile.channels, random);
      const auto plain = aligned();
      const auto streamed = aligned();
      // Fetching ahead may point anywhere, past the arrays too.
      const Caching caching{true, static_cast<std::int64_t>(count)};
      const auto same = [&] { return std::memcmp(plain.get(), streamed.get(), count * sizeof(T)) == 0; };
      with.apply(x.data(), dy.data(), plain.get(), tile, by.forward(), true, {});
      with.apply(x.data(), dy.data(), streamed.get(), tile, by.forward(), true, caching);
      ASSERT_TRUE(same());
      const auto plain_residual = aligned();
      const auto streamed_residual = aligned();
      const Activation<T> gate{true, nullptr};
      with.gradient_apply(x.data(), dy.data(), gate, plain.get(), plain_residual.get(), tile, by.forward(),
                          by.backward(), {});
      with.gradient_apply(x.data(), dy.data(), gate, streamed.get(), streamed_residual.get(), tile,
                          by.forward(), by.backward(), caching);
      ASSERT_TRUE(same());
      ASSERT_EQ(std::memcmp(plain_residual.get(), streamed_residual.get(), count * sizeof(T)), 0);
    }
  });
}

// The gate says of each value what the output says, and backward by the one is backward by the other, bit by
// bit.
TEST_P(SimdSweeps, GateTellsWhatTheOutputTells) {
  for_each_type([&]<class T>(const Sweeps<T>& with) {
    if (!with.has_gates) return;
    for (const Tile& tile : {Tile{3, 4 * 64, 4, 64}, Tile{2, 5 * 104, 5, 104}, Tile{3, 4 * 8, 3, 8},
                             Tile{1, 200, 1, 200}, Tile{40, 64, 64, 1}, Tile{9, 8, 8, 1}, Tile{37, 24, 24, 1},
                             Tile{5, 80, 48, 1}, Tile{3, 2056, 2056, 1}}) {
      const auto count = static_cast<std::size_t>(tile.outer * tile.outer_stride);
      const std::vector<T> x = random_values<T>(tile, random);
      const std::vector<T> dy = random_values<T>(tile, random);
      std::vector<T> residual = random_values<T>(tile, random);
      if constexpr (std::is_same_v<T, float>) residual[7] = std::numeric_limits<float>::quiet_NaN();
      const Coefficients<T> by(tile.channels, random);
      std::vector<T> y(count);
      std::vector<std::uint8_t> bits(count / 8 + 8, 0xa5);
      for (const Caching& caching : {Caching{}, Caching{true, 0}}) {
        with.apply(x.data(), residual.data(), y.data(), tile, by.forward(), {true, bits.data()}, caching);
        for (std::int64_t o = 0; o < tile.outer; ++o) {
          for (std::int64_t i = 0; i < tile.channels * tile.inner; ++i) {
            const std::int64_t at = o * tile.outer_stride + i;
            ASSERT_EQ(bits[static_cast<std::size_t>(at / 8)] >> at % 8 & 1,
                      to_double(y[static_cast<std::size_t>(at)]) == 0 ? 0 : 1)
                << at;
          }
        }
        for (std::size_t i = count / 8; i < bits.size(); ++i) ASSERT_EQ(bits[i], 0xa5) << "past the end";
      }
      const auto backward = [&](const Activation<T>& activation) {
        const auto channels = static_cast<std::size_t>(tile.channels);
        std::vector<T> dx(count), dresidual(count);
        std::vector<double> g(channels), gx(channels);
        with.gradient_sums(x.data(), dy.data(), activation, tile, by.forward(), g.data(), gx.data());
        with.gradient_apply(x.data(), dy.data(), activation, dx.data(), dresidual.data(), tile, by.forward(),
                            by.backward(), {});
        return std::tuple(dx, dresidual, g, gx);
      };
      const auto [dx, dresidual, g, gx] = backward({true, nullptr, bits.data()});
      const auto by_output = backward({true, y.data()});
      ASSERT_TRUE(same_bits(dx, std::get<0>(by_output)));
      ASSERT_TRUE(same_bits(dresidual, std::get<1>(by_output)));
      ASSERT_TRUE(same_bits(g, std::get<2>(by_output)));
      ASSERT_TRUE(same_bits(gx, std::get<3>(by_output)));
    }
  });
}

TEST_P(SimdSweeps, Bfloat16IsRoundedToNearestEven) {
  std::vector<Bfloat16> x;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) x.push_back({static_cast<std::uint16_t>(bits)});
  const auto count = static_cast<std::int64_t>(x.size());
  std::vector<Bfloat16> y(x.size());
  // A product alone (−0 adds nothing) is the same with and without contraction; 1 + 2^-8 makes ties of odd
  // values.
  for (const float scale : {1.0F, 1.00390625F, 1.7F, 3e-9F, 257.0F}) {
    const float zero = 0;
    const float minus_zero = -zero;
    for (const Tile& tile : {Tile{1, count, 1, count}, Tile{count, 1, 1, 1}}) {
      sweeps<Bfloat16>(GetParam())
          .apply(x.data(), nullptr, y.data(), tile, {&zero, &scale, &minus_zero}, false, {});
      for (std::size_t i = 0; i < x.size(); ++i) {
        const Bfloat16 want = to_bfloat16(scale * to_float(x[i]));
        ASSERT_EQ(y[i].bits, want.bits) << x[i].bits << " times " << scale;
      }
    }
  }
}

}  // namespace
}  // namespace refnorm::kernels
