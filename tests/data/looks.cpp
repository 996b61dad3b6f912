#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <refnorm/base/random.h>
#include <refnorm/data/augmentation.h>
#include <refnorm/data/picture_look.h>
#include <refnorm/data/picture_loops.h>
#include <refnorm/data/resample.h>

#include "tests/data/picture_files.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;

Pixels noise(std::int64_t height, std::int64_t width, std::uint64_t seed = 1) {
  Pixels pixels;
  pixels.resize(height, width);
  RandomStream random(seed, "noise");
  for (auto& value : pixels.values) value = static_cast<std::uint8_t>(random.below(256));
  return pixels;
}

/// The definition, in double: output i of `size` over `length` pixels from `begin`, of those there are.
double triangle(double begin, double length, std::int64_t size, std::int64_t i, std::int64_t x) {
  const double step = length / static_cast<double>(size);
  const double distance = static_cast<double>(x) + 0.5 - (begin + (static_cast<double>(i) + 0.5) * step);
  return std::max(0.0, 1 - std::abs(distance) / std::max(step, 1.0));
}

/// Of rows and columns from `top`, `left` on, resized to height x width.
void expect_resampled(const Pixels& pixels, const Box& box, std::int64_t height, std::int64_t width) {
  const ResizeAxis rows(static_cast<double>(box.top), static_cast<double>(box.height), height, 0, height,
                        box.top, box.top + box.height);
  const ResizeAxis columns(static_cast<double>(box.left), static_cast<double>(box.width), width, 0, width,
                           box.left, box.left + box.width);
  std::vector<float> line;
  std::vector<float> out;
  resample(pixels, 0, 0, rows, columns, line, out);
  ASSERT_EQ(out.size(), static_cast<std::size_t>(height * width * 4));
  double largest = 0;
  for (std::int64_t i = 0; i < height * width; ++i) {
    double sum[3] = {};
    double weights = 0;
    for (std::int64_t y = box.top; y < box.top + box.height; ++y) {
      const auto h = static_cast<double>(box.height);
      const double down = triangle(static_cast<double>(box.top), h, height, i / width, y);
      for (std::int64_t x = box.left; down > 0 && x < box.left + box.width; ++x) {
        const auto w = static_cast<double>(box.width);
        const double weight = down * triangle(static_cast<double>(box.left), w, width, i % width, x);
        weights += weight;
        for (int c = 0; c < 3; ++c) sum[c] += weight * pixels.row(y)[4 * x + c];
      }
    }
    for (int c = 0; c < 3; ++c)
      largest = std::max(largest, std::abs(sum[c] / weights -
                                           static_cast<double>(out[static_cast<std::size_t>(4 * i + c)])));
  }
  EXPECT_LT(largest, 2e-4) << box.height << " x " << box.width << " to " << height << " x " << width;
}

TEST(Resample, IsAWeightedMean) {
  const Pixels pixels = noise(41, 37);
  for (const auto& [height, width] :
       {std::pair(7, 9), std::pair(41, 37), std::pair(60, 3), std::pair(1, 1), std::pair(20, 100)})
    expect_resampled(pixels, {0, 0, 41, 37}, height, width);
  expect_resampled(pixels, {5, 7, 20, 13}, 11, 12);
  expect_resampled(pixels, {40, 36, 1, 1}, 5, 6);
  // Widths about those of vectors.
  for (std::int64_t width = 1; width <= 37; ++width) expect_resampled(pixels, {3, 0, 9, width}, 4, width + 1);
}

TEST(Resample, OfTheSameSizeIsTheSame) {
  const Pixels pixels = noise(19, 23);
  const ResizeAxis rows(0, 19, 19, 0, 19, 0, 19);
  const ResizeAxis columns(0, 23, 23, 0, 23, 0, 23);
  std::vector<float> line;
  std::vector<float> out;
  resample(pixels, 0, 0, rows, columns, line, out);
  EXPECT_TRUE(std::equal(out.begin(), out.end(), pixels.values.begin(), pixels.values.end()));
}

TEST(Resample, AWindowIsAPartOfTheWhole) {
  const Pixels pixels = noise(50, 70);
  std::vector<float> line;
  std::vector<float> all;
  std::vector<float> some;
  resample(pixels, 0, 0, {0, 50, 30, 0, 30, 0, 50}, {0, 70, 42, 0, 42, 0, 70}, line, all);
  resample(pixels, 0, 0, {0, 50, 30, 4, 20, 0, 50}, {0, 70, 42, 9, 11, 0, 70}, line, some);
  for (std::size_t y = 0; y < 20; ++y) {
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(((y + 4) * 42 + 9) * 4);
    EXPECT_TRUE(std::equal(from, from + 44, some.begin() + static_cast<std::ptrdiff_t>(y * 44)));
  }
}

TEST(WriteRow, EveryLayoutAndWidth) {
  const ColourScale how{{0.5F, 2, 3}, {1, -1, 0.25F}};
  for (std::int64_t count = 1; count <= 70; ++count) {
    std::vector<float> pixels(static_cast<std::size_t>(4 * count));
    std::iota(pixels.begin(), pixels.end(), 0.0F);
    for (const bool mirrored : {false, true}) {
      std::vector<float> planes(static_cast<std::size_t>(3 * count + 20), -9);
      std::vector<float> together = planes;
      write_row(pixels.data(), count, how, mirrored, count + 5, planes.data());
      write_row(pixels.data(), count, how, mirrored, 0, together.data());
      for (std::int64_t x = 0; x < count; ++x) {
        const std::int64_t to = mirrored ? count - 1 - x : x;
        for (std::int64_t c = 0; c < 3; ++c) {
          const float expected = static_cast<float>(4 * x + c) * how.scale[c] + how.shift[c];
          ASSERT_FLOAT_EQ(planes[static_cast<std::size_t>(c * (count + 5) + to)], expected) << count;
          ASSERT_FLOAT_EQ(together[static_cast<std::size_t>(3 * to + c)], expected) << count;
        }
      }
      for (std::int64_t i = 0; i < 5; ++i)  // between the planes
        ASSERT_EQ(planes[static_cast<std::size_t>(count + i)], -9) << count;
      for (std::int64_t i = 3 * count; i < 3 * count + 20; ++i)
        ASSERT_EQ(together[static_cast<std::size_t>(i)], -9) << count;
    }
  }
}

TEST(Crops, LieWithinAndAreOfTheWantedShares) {
  Augmentation how;
  how.crop_scale = {0.1, 0.5};  // always fits a square
  RandomStream random(1, "crops");
  constexpr int kDraws = 20000;
  double area = 0;
  double log_ratio = 0;
  double log_ratio_square = 0;
  double top = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Box box = draw_crop(1000, 1000, how, random);
    ASSERT_GE(box.top, 0);
    ASSERT_GE(box.left, 0);
    ASSERT_LE(box.top + box.height, 1000);
    ASSERT_LE(box.left + box.width, 1000);
    const double share = static_cast<double>(box.height * box.width) / 1e6;
    const double ratio = static_cast<double>(box.width) / static_cast<double>(box.height);
    ASSERT_TRUE(share > 0.099 && share < 0.501) << share;
    ASSERT_TRUE(ratio > 0.745 && ratio < 1.34) << ratio;
    area += share / kDraws;
    log_ratio += std::log(ratio) / kDraws;
    log_ratio_square += std::log(ratio) * std::log(ratio) / kDraws;
    top += static_cast<double>(box.top) / static_cast<double>(1000 - box.height) / kDraws;
  }
  // Uniform over 0.1 … 0.5, ±ln(4/3), and all places: deviations of a mean are range / sqrt(12 · 20000).
  EXPECT_NEAR(area, 0.3, 4 * 0.4 / std::sqrt(12.0 * kDraws));
  EXPECT_NEAR(log_ratio, 0, 4 * 2 * std::log(4.0 / 3) / std::sqrt(12.0 * kDraws));
  EXPECT_NEAR(log_ratio_square, std::pow(std::log(4.0 / 3), 2) / 3, 0.001);
  EXPECT_NEAR(top, 0.5, 4 / std::sqrt(12.0 * kDraws));
}

TEST(Crops, FallBackToTheLargestCentredPart) {
  const Augmentation how;
  RandomStream random(1, "crops");
  // So long that no rectangle of those ratios covers 8 % of it.
  EXPECT_EQ(draw_crop(10, 1000, how, random), (Box{0, 493, 10, 13}));
  EXPECT_EQ(draw_crop(1000, 10, how, random), (Box{493, 0, 13, 10}));
  EXPECT_EQ(draw_crop(1, 1, how, random), (Box{0, 0, 1, 1}));
  EXPECT_EQ(draw_crop(1, 5000, how, random), (Box{0, 2499, 1, 1}));
}

TEST(Erased, RectanglesAreOfTheWantedShares) {
  Augmentation how;
  RandomStream random(1, "erased");
  EXPECT_EQ(draw_erased(224, 224, how, random), Box());
  how.erase = 0.25;
  int erased = 0;
  for (int i = 0; i < 4000; ++i) {
    const Box box = draw_erased(224, 224, how, random);
    if (box == Box()) continue;
    ++erased;
    ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.top + box.height <= 224 && box.left + box.width <= 224);
    const double share = static_cast<double>(box.height * box.width) / (224 * 224);
    ASSERT_TRUE(share > 0.018 && share < 0.34) << share;
  }
  EXPECT_NEAR(erased, 1000, 4 * std::sqrt(4000 * 0.25 * 0.75));
}

TEST(Colours, ChangeNothingAtTheirNeutralValues) {
  std::vector<float> picture{0.1F, 0.5F, 0.9F, 0, 1, 1, 1, 0, 0.3F, 0.3F, 0.2F, 0, 0, 0, 0, 0};
  const std::vector<float> before = picture;
  adjust_brightness(picture, 1);
  adjust_contrast(picture, 1);
  adjust_saturation(picture, 1);
  turn_hue(picture, 0);
  turn_hue(picture, 1);
  for (std::size_t i = 0; i < picture.size(); ++i) EXPECT_NEAR(picture[i], before[i], 1e-6) << i;
}

TEST(Colours, KnownValues) {
  std::vector<float> red{1, 0, 0, 0, 0.5F, 0.25F, 0.25F, 0};
  turn_hue(red, 1.0 / 3);
  const std::vector<float> green{0, 1, 0, 0, 0.25F, 0.5F, 0.25F, 0};
  for (std::size_t i = 0; i < red.size(); ++i) EXPECT_NEAR(red[i], green[i], 1e-6) << i;
  std::vector<float> grey{0.2F, 0.4F, 0.6F, 0};
  adjust_saturation(grey, 0);
  for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(grey[c], 0.2 * 0.2989 + 0.4 * 0.587 + 0.6 * 0.114, 1e-6);
  std::vector<float> two{0.2F, 0.2F, 0.2F, 0, 0.6F, 0.6F, 0.6F, 0};
  adjust_contrast(two, 0.5);
  EXPECT_NEAR(two[0], 0.3, 1e-4);
  EXPECT_NEAR(two[4], 0.5, 1e-4);
  adjust_brightness(two, 3);
  EXPECT_NEAR(two[0], 0.9, 1e-3);
  EXPECT_EQ(two[4], 1);
}

TEST(Colours, FactorsAreDrawnWithinTheirBounds) {
  Augmentation how;
  how.brightness = 0.4;
  RandomStream random(2, "jitter");
  double sum = 0;
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> picture{0.5F, 0.5F, 0.5F, 0};
    jitter_colours(picture, how, random);
    ASSERT_TRUE(picture[0] >= 0.3F && picture[0] <= 0.7F);
    sum += static_cast<double>(picture[0]);
  }
  EXPECT_NEAR(sum / 2000, 0.5, 4 * 0.4 / std::sqrt(12.0 * 2000));
}

std::vector<float> evaluated(const std::string& bytes, const PictureLook& look) {
  PictureSource source(bytes, "p");
  Workspace workspace;
  std::vector<float> out(static_cast<std::size_t>(look.values()));
  write_evaluation_look(source, look, workspace, out.data());
  return out;
}

std::vector<float> trained(const std::string& bytes, const PictureLook& look, const Augmentation& how,
                           std::uint64_t seed) {
  PictureSource source(bytes, "p");
  Workspace workspace;
  RandomStream random(seed, "look");
  std::vector<float> out(static_cast<std::size_t>(look.values()));
  write_training_look(source, look, how, random, workspace, out.data());
  return out;
}

TEST(Looks, KnownPixels) {
  // 4 x 8 of one colour on the left, another on the right; the centre 4 x 4 has two columns of each.
  cv::Mat pixels(4, 8, CV_8UC3, cv::Scalar(51, 102, 255));
  pixels(cv::Rect(4, 0, 4, 4)) = cv::Scalar(255, 0, 0);
  PictureLook look{.size = 4, .resize = 4, .mean = {0.5, 0.25, 0}, .deviation = {0.5, 0.25, 1}};
  const std::vector<float> values = evaluated(encoded(pixels, ".png"), look);
  for (std::size_t i = 0; i < 16; ++i) {
    const bool left = i % 4 < 2;
    EXPECT_NEAR(values[i], left ? 1 : -1, 1e-6) << i;  // red
    EXPECT_NEAR(values[16 + i], left ? (0.4 - 0.25) / 0.25 : -1, 1e-6);
    EXPECT_NEAR(values[32 + i], left ? 0.2 : 1, 1e-6);
  }
  look.channels_last = true;
  const std::vector<float> last = evaluated(encoded(pixels, ".png"), look);
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(last[3 * i + c], values[16 * c + i]);
  }
}

TEST(Looks, TrainingFlipsAndErases) {
  const std::string bytes = encoded(textured(60, 50), ".png");
  const PictureLook look{.size = 32, .resize = 32};
  Augmentation how;
  how.flip = 0;
  const std::vector<float> plain = trained(bytes, look, how, 7);
  how.flip = 1;
  // That flip is not drawn where it is 0; so the same crop follows from a chance of 1, drawn behind the crop.
  const std::vector<float> flipped = trained(bytes, look, how, 7);
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(flipped[i / 32 * 32 + 31 - i % 32], plain[i]);
  how.flip = 0;
  how.erase = 1;
  const std::vector<float> erased = trained(bytes, look, how, 7);
  const auto zeros = static_cast<double>(std::count(erased.begin(), erased.end(), 0.0F));
  EXPECT_TRUE(zeros > 0.015 * 3072 && zeros < 0.35 * 3072) << zeros;
  for (std::size_t i = 0; i < erased.size(); ++i) EXPECT_TRUE(erased[i] == 0 || erased[i] == plain[i]);
  PictureLook last = look;
  last.channels_last = true;
  const std::vector<float> other = trained(bytes, last, how, 7);
  for (std::size_t i = 0; i < 1024; ++i) {
    for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(other[3 * i + c], erased[1024 * c + i]);
  }
}

TEST(Looks, AnySizeOfPicture) {
  for (const auto& [height, width] :
       {std::pair(1, 1), std::pair(1, 3000), std::pair(3000, 1), std::pair(2, 3), std::pair(700, 31)}) {
    const cv::Mat grey(height, width, CV_8UC1, cv::Scalar(51));
    for (const char* format : {".png", ".jpg"}) {
      const std::string bytes = encoded(grey, format);
      PictureLook look{.mean = {0, 0, 0}, .deviation = {1, 1, 1}};
      Augmentation how;
      for (const float value : evaluated(bytes, look)) ASSERT_NEAR(value, 0.2, 0.005);
      for (std::uint64_t seed = 0; seed < 5; ++seed) {
        for (const float value : trained(bytes, look, how, seed)) ASSERT_NEAR(value, 0.2, 0.005);
      }
    }
  }
}

TEST(Looks, AreTheSameBitsWithEveryInstructionSet) {
  const std::string bytes = encoded(textured(90, 120), ".png");
  const PictureLook look{.size = 45, .resize = 47};
  const std::vector<float> expected = trained(bytes, look, {}, 3);
  int others = 0;
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    EXPECT_EQ(trained(bytes, look, {}, 3), expected) << hwy::TargetName(target);
    ++others;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  EXPECT_GT(others, 0);
}

// Of a large JPEG, less is decoded: what comes out is nearly what comes of all of it, in levels of 0 … 255.
// The noise of these pixels, of deviation 6, is where a transform that is cut off differs most from a mean.
TEST(Looks, ReducedDecodingLosesNothing) {
  const std::string jpeg = encoded(textured(1500, 1200), ".jpg", {cv::IMWRITE_JPEG_QUALITY, 92});
  const cv::Mat raw(1, static_cast<int>(jpeg.size()), CV_8U, const_cast<char*>(jpeg.data()));
  const std::string whole = encoded(cv::imdecode(raw, cv::IMREAD_COLOR), ".png");  // never reduced
  const PictureLook look{.mean = {0, 0, 0}, .deviation = {1 / 255.0, 1 / 255.0, 1 / 255.0}};
  const auto difference = [&](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      sum += std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    return sum / static_cast<double>(a.size());
  };
  EXPECT_LT(difference(evaluated(jpeg, look), evaluated(whole, look)), 1.2);
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    EXPECT_LT(difference(trained(jpeg, look, {}, seed), trained(whole, look, {}, seed)), 4) << seed;
}

}  // namespace
}  // namespace refnorm::data
