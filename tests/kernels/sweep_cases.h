#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/kernels/simd_sweeps.h>

namespace refnorm::kernels {

template <class T>
double to_double(T value) {
  if constexpr (std::is_same_v<T, Bfloat16>) {
    return to_float(value);
  } else {
    return value;
  }
}

template <class T>
T from_double(double value) {
  if constexpr (std::is_same_v<T, Bfloat16>) {
    return to_bfloat16(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

template <class T>
std::vector<double> to_doubles(const std::vector<T>& values) {
  std::vector<double> doubles;
  for (const T value : values) doubles.push_back(to_double(value));
  return doubles;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// The relative error of one operation in which T is computed, and that of storing the result in T.
template <class T>
constexpr double kUnit = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;
template <class T>
constexpr double kStored = std::is_same_v<T, Bfloat16> ? 0x1p-8 : 0.0;
/// A sum goes on in double at the latest after 544 additions to a lane (4096 values in four sums of two
/// lanes, and one vector more for each of 32 runs; 256 rows); joining four sums and the roundings of a term
/// add a few.
constexpr double kAdditions = 550;

constexpr std::int64_t kOffset = 1;  // so that no pointer is aligned
constexpr std::int64_t kGuards = 80;

inline std::int64_t extent(const Tile& tile) {
  return tile.outer == 0 ? 0 : (tile.outer - 1) * tile.outer_stride + tile.channels * tile.inner;
}

template <class Body>
void for_each_value(const Tile& tile, const Body& body) {
  for (std::int64_t o = 0; o < tile.outer; ++o) {
    for (std::int64_t c = 0; c < tile.channels; ++c) {
      for (std::int64_t i = 0; i < tile.inner; ++i) {
        body(c, static_cast<std::size_t>(kOffset + o * tile.outer_stride + c * tile.inner + i));
      }
    }
  }
}

/// Places of an array that no sweep may write.
inline std::vector<bool> outside(const Tile& tile) {
  std::vector<bool> is_outside(static_cast<std::size_t>(kOffset + extent(tile) + kGuards), true);
  for_each_value(tile, [&](std::int64_t, std::size_t at) { is_outside[at] = false; });
  return is_outside;
}

template <class T>
struct Coefficients {
  Coefficients(std::int64_t channels, std::mt19937& random) {
    std::uniform_real_distribution<float> any(-2, 2);
    for (auto& values : lists) {
      for (std::int64_t c = 0; c < channels; ++c) values.push_back(static_cast<Compute<T>>(any(random)));
    }
    for (const auto& values : lists) doubles.emplace_back(values.begin(), values.end());
  }
  ForwardCoefficients<Compute<T>> forward() const {
    return {lists[0].data(), lists[1].data(), lists[2].data()};
  }
  BackwardCoefficients<Compute<T>> backward() const {
    return {lists[3].data(), lists[4].data(), lists[5].data()};
  }
  ForwardCoefficients<double> forward_doubles() const {
    return {doubles[0].data(), doubles[1].data(), doubles[2].data()};
  }

  std::array<std::vector<Compute<T>>, 6> lists;
  std::vector<std::vector<double>> doubles;
};

/// Arrays that end where the tile ends, so that the address sanitizer sees each read past it.
template <class T>
std::vector<T> random_values(const Tile& tile, std::mt19937& random) {
  std::normal_distribution<double> any(0.5, 1.5);
  std::vector<T> values(static_cast<std::size_t>(kOffset + extent(tile)));
  for (T& value : values) value = from_double<T>(any(random));
  return values;
}

/// Small enough for a plain test, many enough for each way through the loops.
inline std::vector<Tile> tiles() {
  std::vector<Tile> all;
  for (const std::int64_t inner : {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 49, 64, 65, 196, 1000}) {
    for (const std::int64_t channels : {1, 2, 3, 6, 8, 15, 16, 17, 33, 64, 100}) {
      for (const std::int64_t outer : {1, 2, 5, 17}) {
        if (inner * channels * outer > 12000) continue;
        all.push_back({outer, channels * inner, channels, inner});
        all.push_back({outer, channels * inner + 3, channels, inner});
      }
    }
  }
  for (const Tile& large :
       {Tile{700, 6, 6, 1}, Tile{3137, 16, 16, 1}, Tile{300, 120, 120, 1}, Tile{301, 84, 84, 1},
        Tile{70, 2048, 2048, 1}, Tile{67, 1500, 1025, 1}, Tile{40, 900, 300, 3}, Tile{3, 70000, 2, 12544},
        Tile{33, 49 * 7, 7, 49}, Tile{9, 1100 * 20, 1100, 20}, Tile{2, 10000, 1, 4097}}) {
    all.push_back(large);
  }
  return all;
}

inline std::string text(const Tile& tile) {
  return std::to_string(tile.outer) + " x " + std::to_string(tile.channels) + " x " +
         std::to_string(tile.inner) + ", stride " + std::to_string(tile.outer_stride);
}

/// Tiles for tests about values, one for each way through the sweeps.
inline const std::array<Tile, 6> kShapes{Tile{3, 12544 * 3, 3, 12544}, Tile{40, 49 * 9, 9, 49},
                                         Tile{500, 6, 6, 1},           Tile{300, 70, 64, 1},
                                         Tile{50, 2048, 2048, 1},      Tile{31, 5 * 7, 5, 7}};

/// Tests that run with each instruction set of the machine.
class EachInstructionSet : public testing::TestWithParam<std::string> {
 protected:
  /// check(sweeps) for each type of value.
  template <class Check>
  void for_each_type(const Check& check) {
    const auto with = [&](const auto& of_type, const char* type) {
      SCOPED_TRACE(type);
      if (!HasFatalFailure()) check(of_type);
    };
    with(sweeps<float>(GetParam()), "float");
    with(sweeps<Bfloat16>(GetParam()), "Bfloat16");
    with(sweeps<double>(GetParam()), "double");
  }

  /// The same with each tile.
  template <class Check>
  void for_each_tile(const Check& check) {
    for_each_type([&](const auto& with) {
      for (const Tile& tile : tiles()) {
        SCOPED_TRACE(text(tile));
        check(with, tile);
        if (HasFatalFailure()) return;
      }
    });
  }

  std::mt19937 random{7};
};

}  // namespace refnorm::kernels
