// The fast path against the plain one, which goes by the definition, sample by sample.
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <refnorm/kernels/roi_align.h>
#include <refnorm/kernels/weighted_rows.h>

namespace refnorm::kernels {
namespace {

std::vector<double> random_numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> numbers(count);
  for (double& number : numbers) number = normal(random);
  return numbers;
}

/// Regions of two pictures: inside, across the border, outside, small, without area, turned round, huge.
std::vector<double> regions() {
  return {0, 3.1,  4.2,  30.7, 40.3,  1, 0,   0,   95,   79,   0, -20,  -13,  31,  22,
          1, 60.5, 50.5, 140,  120.9, 0, 200, 200, 300,  300,  1, 10,   10,   11,  11.5,
          0, 20,   20,   20,   20,    1, 40,  40,  30.5, 20.5, 0, -9e5, -4e4, 1e6, 7e5};
}

template <class To>
std::vector<To> as(const std::vector<double>& numbers) {
  return {numbers.begin(), numbers.end()};
}

std::vector<RoiGrid> grids() {
  std::vector<RoiGrid> all;
  for (const bool aligned : {true, false}) {
    for (const std::int64_t ratio : {0, 1, 2, 3}) all.push_back({3, 5, 1.0 / 8, ratio, aligned});
  }
  return all;
}

std::string text(const RoiGrid& grid) {
  return (grid.aligned ? "aligned, ratio " : "ratio ") + std::to_string(grid.sampling_ratio);
}

/// [region][bin][channel] as [region][channel][bin].
std::vector<double> planes(const std::vector<double>& rows, std::int64_t bins, std::int64_t channels) {
  std::vector<double> out(rows.size());
  const auto count = static_cast<std::int64_t>(rows.size()) / (bins * channels);
  for (std::int64_t n = 0; n < count; ++n) {
    for (std::int64_t b = 0; b < bins; ++b) {
      for (std::int64_t k = 0; k < channels; ++k)
        out[(n * channels + k) * bins + b] = rows[(n * bins + b) * channels + k];
    }
  }
  return out;
}

template <class T>
void expect_near(const std::vector<T>& found, const std::vector<double>& wanted, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], wanted[i], tolerance) << what << ", " << i;
}

template <class T>
void expect_forward(const FeatureMap& map, const RoiGrid& grid, double tolerance) {
  const std::vector<double> x = random_numbers(map.pictures * map.height * map.width * map.channels, 1);
  const std::vector<double> rois = regions();
  const auto count = static_cast<std::int64_t>(rois.size() / 5);
  std::vector<double> wanted(count * grid.bins() * map.channels);
  roi_align_plain(x.data(), map, rois.data(), count, grid, wanted.data());
  std::vector<T> found(wanted.size());
  roi_align(as<T>(x).data(), map, as<T>(rois).data(), 0, count, grid, RoiLayout::kChannelsLast, found.data());
  expect_near(found, wanted, tolerance, text(grid));
  roi_align(as<T>(x).data(), map, as<T>(rois).data(), 0, count, grid, RoiLayout::kPlanes, found.data());
  expect_near(found, planes(wanted, grid.bins(), map.channels), tolerance, text(grid) + ", planes");
}

template <class T>
void expect_backward(const FeatureMap& map, const RoiGrid& grid, double tolerance) {
  const std::vector<double> rois = regions();
  const auto count = static_cast<std::int64_t>(rois.size() / 5);
  const std::vector<double> dy = random_numbers(count * grid.bins() * map.channels, 2);
  const std::size_t values = map.pictures * map.height * map.width * map.channels;
  std::vector<double> wanted(values, 0.25);  // it is added to what is there
  roi_align_backward_plain(dy.data(), map, rois.data(), count, grid, wanted.data());
  for (const RoiLayout layout : {RoiLayout::kChannelsLast, RoiLayout::kPlanes}) {
    const std::vector<double> given =
        layout == RoiLayout::kPlanes ? planes(dy, grid.bins(), map.channels) : dy;
    std::vector<T> found(values, T{0.25});
    for (std::int64_t picture = 0; picture < map.pictures; ++picture) {
      for (std::int64_t first = 0; first < map.channels; first += 7) {
        roi_align_backward(as<T>(given).data(), map, as<T>(rois).data(), count, grid, layout, picture, first,
                           std::min(first + 7, map.channels), found.data());
      }
    }
    expect_near(found, wanted, tolerance, text(grid));
  }
}

// Channels around the vectors' widths, and more than one block of them.
TEST(RoiAlign, EqualsThePlainOne) {
  for (const std::int64_t channels : {1, 7, 16, 67, 300}) {
    for (const RoiGrid& grid : grids()) {
      expect_forward<double>({2, 10, 12, channels}, grid, 1e-12);
      expect_backward<double>({2, 10, 12, channels}, grid, 1e-12);
    }
  }
}

// Coordinates up to 140 in float32 are off by up to 8e-6, and so are samples, of features that differ by 5.
TEST(RoiAlign, EqualsThePlainOneInFloat) {
  for (const RoiGrid& grid : grids()) {
    expect_forward<float>({2, 10, 12, 67}, grid, 5e-5);
    expect_backward<float>({2, 10, 12, 67}, grid, 5e-4);
  }
}

// By hand: features 0 … 3 in a row; a region from 0.5 to 2.5 has two bins, each one sample, at pixels'
// corners 1 and 2, between features 0, 1 and 1, 2.
TEST(RoiAlign, AveragesWhatLiesUnderABin) {
  const std::vector<double> x{0, 1, 2, 3};
  const std::vector<double> roi{0, 0.5, 0, 2.5, 1};
  std::vector<double> y(2);
  roi_align_plain(x.data(), {1, 1, 4, 1}, roi.data(), 1, {1, 2, 1, 0, true}, y.data());
  EXPECT_EQ(y, (std::vector<double>{0.5, 1.5}));
  // Not aligned, the same numbers are places of features: 1 and 2.
  roi_align_plain(x.data(), {1, 1, 4, 1}, roi.data(), 1, {1, 2, 1, 0, false}, y.data());
  EXPECT_EQ(y, (std::vector<double>{1, 2}));
}

TEST(RoiAlign, MarksARegionThatIsNotFiniteAndGivesItNoGradient) {
  const FeatureMap map{1, 3, 3, 2};
  const RoiGrid grid{2, 2, 1, 0, true};
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL}) {
    for (int side = 1; side < 5; ++side) {
      std::vector<double> rois{0, 0, 0, 2, 2, 0, 0, 0, 2, 2};
      rois[side] = bad;
      const std::vector<double> x(18, 1.0);
      std::vector<double> y(16);
      roi_align(x.data(), map, rois.data(), 0, 2, grid, RoiLayout::kChannelsLast, y.data());
      for (int i = 0; i < 8; ++i) EXPECT_TRUE(std::isnan(y[i]));
      for (int i = 8; i < 16; ++i) EXPECT_NEAR(y[i], 1, 1e-12);
      std::vector<double> dx(18, 0.0);
      roi_align_backward(y.data(), map, rois.data(), 1, grid, RoiLayout::kChannelsLast, 0, 0, 2, dx.data());
      EXPECT_EQ(dx, std::vector<double>(18, 0.0));
    }
  }
}

TEST(RoiAxis, TransposedGivesWhatItReads) {
  RoiAxis<double> axis;
  lay_out(axis, 3.3, 90.0, 5, 12, {5, 5, 1.0 / 8, 0, true});
  const RoiAxis<double> other = axis.transposed();
  for (std::int64_t p = 0; p < 5; ++p) {
    for (std::int64_t feature = 0; feature < 12; ++feature) {
      const bool reads = feature >= axis.first[p] && feature < axis.first[p] + axis.count[p];
      const double weight = reads ? axis.weights[axis.offset[p] + feature - axis.first[p]] : 0;
      const std::int64_t row = feature - axis.begin();
      double given = 0;
      if (row >= 0 && row < other.bins() && p >= other.first[row] && p < other.first[row] + other.count[row])
        given = other.weights[other.offset[row] + p - other.first[row]];
      EXPECT_EQ(given, weight) << p << " " << feature;
    }
  }
}

// Every bfloat16 there and back; halves to the even neighbour, NaN stays one.
TEST(WeightedRows, ConvertAsOneByOne) {
  std::vector<Bfloat16> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].bits = static_cast<std::uint16_t>(i);
  std::vector<float> wide(all.size());
  convert_values(all.data(), wide.data(), 65536);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::isnan(wide[i])) continue;
    ASSERT_EQ(wide[i], to_float(all[i]));
    wide[i] += wide[i] * static_cast<float>(i % 5) / 1024;  // quarters of a unit
  }
  std::vector<Bfloat16> narrow(all.size() - 3);
  convert_values(wide.data() + 3, narrow.data(), static_cast<std::int64_t>(narrow.size()));
  for (std::size_t i = 0; i < narrow.size(); ++i)
    ASSERT_EQ(narrow[i].bits, to_bfloat16(wide[i + 3]).bits) << i;
}

}  // namespace
}  // namespace refnorm::kernels
