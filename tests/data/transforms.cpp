#include <cmath>

#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/data/transform.h>

namespace refnorm::data {
namespace {

using torch::Tensor;

Tensor picture(const std::vector<std::vector<float>>& rows) {
  const auto height = static_cast<std::int64_t>(rows.size());
  const auto width = static_cast<std::int64_t>(rows.front().size());
  const Tensor out = torch::empty({1, height, width});
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      out[0][y][x] = rows[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)];
  return out;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>();
}

TEST(Rotated, TurnsCounterClockwise) {
  const Tensor two_by_three = picture({{0.1F, 0.2F, 0.3F}, {0.4F, 0.5F, 0.6F}});
  EXPECT_TRUE(torch::equal(rotated(two_by_three, 1), picture({{0.3F, 0.6F}, {0.2F, 0.5F}, {0.1F, 0.4F}})));
  EXPECT_TRUE(torch::equal(rotated(two_by_three, 2), picture({{0.6F, 0.5F, 0.4F}, {0.3F, 0.2F, 0.1F}})));
  EXPECT_TRUE(torch::equal(rotated(two_by_three, 4), two_by_three));
  const Tensor channels = torch::cat({picture({{1, 0}, {0, 0}}), picture({{0, 1}, {0, 0}})});
  EXPECT_TRUE(
      torch::equal(rotated(channels, 1), torch::cat({picture({{0, 0}, {1, 0}}), picture({{1, 0}, {0, 0}})})))
      << "channels turn each for itself";
}

TEST(Inverted, GoesFromThePictureToItsNegative) {
  const Tensor values = picture({{0, 0.25F, 1}});
  EXPECT_TRUE(torch::equal(inverted(values, 0), values));
  EXPECT_TRUE(torch::equal(inverted(values, 1), picture({{1, 0.75F, 0}})));
  EXPECT_TRUE(torch::equal(inverted(values, 0.5), picture({{0.5F, 0.5F, 0.5F}})));
}

// exp(0), exp(−1/2), exp(−2), exp(−9/2) are 1, 0.6065307, 0.1353353 and 0.0111090; the seven weights of
// deviation 1 are those divided by their sum 2.5059499.
TEST(Blurred, SpreadsAPointAsAGaussian) {
  const Tensor point = torch::zeros({2, 9, 9});
  point[0][4][4] = 1;
  const Tensor out = blurred(point, 1);
  const std::vector<double> weights{0.3990503, 0.2420362, 0.0540056, 0.0044331, 0};
  for (std::int64_t y = 0; y < 9; ++y) {
    for (std::int64_t x = 0; x < 9; ++x) {
      const double expected = weights[static_cast<std::size_t>(std::abs(y - 4))] *
                              weights[static_cast<std::size_t>(std::abs(x - 4))];
      EXPECT_NEAR(out[0][y][x].item<double>(), expected, 1e-7) << y << ", " << x;
    }
  }
  EXPECT_EQ(out[1].abs().max().item<double>(), 0) << "channels do not mix";
}

// Beyond the border the picture goes on: of a step from 1 to 0 behind the first column, the first column sees
// itself and all that is left of it, (1 + 0.3990503) / 2, and the last one the tail of two places and more.
TEST(Blurred, GoesOnBeyondTheBorder) {
  EXPECT_LT(largest_difference(blurred(torch::full({1, 3, 5}, 0.7F), 1.5), torch::full({1, 3, 5}, 0.7F)),
            1e-7);
  const Tensor out = blurred(picture({{1, 0, 0}, {1, 0, 0}}), 1);
  const float tail = 0.0540056F + 0.0044331F;
  EXPECT_LT(largest_difference(
                out, picture({{0.6995251F, 0.2420362F + tail, tail}, {0.6995251F, 0.2420362F + tail, tail}})),
            1e-6);
}

TEST(Noisy, AddsTheStreamsNumbersInRowMajorOrderAndCutsOff) {
  const Tensor grey = torch::full({2, 3, 4}, 0.5F);
  RandomStream random(3, "noise");
  const Tensor out = noisy(grey, 0.4, random);
  RandomStream again(3, "noise");
  for (std::int64_t i = 0; i < 24; ++i) {
    const double expected = std::min(1.0, std::max(0.0, 0.5 + 0.4 * again.normal()));
    EXPECT_FLOAT_EQ(out.flatten()[i].item<float>(), static_cast<float>(expected)) << i;
  }
  EXPECT_EQ(grey.min().item<float>(), 0.5F) << "the picture itself stays";
}

// Sigma is small enough that nothing is cut off: the mean of n values has the deviation sigma / sqrt(n),
// their variance sigma² sqrt(2 / n).
TEST(Noisy, HasTheDeviationThatItSays) {
  RandomStream random(5, "noise");
  const Tensor noise = noisy(torch::full({1, 400, 400}, 0.5F), 0.05, random).to(torch::kDouble) - 0.5;
  const double n = 160000;
  EXPECT_NEAR(noise.mean().item<double>(), 0, 4 * 0.05 / std::sqrt(n));
  EXPECT_NEAR(noise.square().mean().item<double>(), 0.0025, 4 * 0.0025 * std::sqrt(2 / n));
}

}  // namespace
}  // namespace refnorm::data
