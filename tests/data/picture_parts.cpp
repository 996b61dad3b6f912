#include <algorithm>
#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/data/jpeg_markers.h>
#include <refnorm/data/jpeg_part.h>
#include <refnorm/data/picture.h>
#include <refnorm/data/picture_source.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"
#include "tests/data/picture_files.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;

/// Value of a colour of what decode_picture() says, as a byte.
int byte_of(const Picture& picture, std::int64_t y, std::int64_t x, std::int64_t c) {
  const std::int64_t channel = picture.channels == 1 ? 0 : c;
  const auto place = static_cast<std::size_t>((y * picture.width + x) * picture.channels + channel);
  return static_cast<int>(std::lround(picture.values[place] * 255));
}

PictureSource::Part part_of(const std::string& bytes, const Box& box, std::int64_t least = 1 << 20) {
  PictureSource source(bytes, "p");
  PictureSource::Part part;
  source.decode(box, least, least, part);
  return part;
}

/// That the part of that box, at full size, is what decode_picture() gives there.
void expect_part(const std::string& bytes, const Box& box) {
  const Picture whole = decode_picture(bytes, "p");
  const PictureSource::Part part = part_of(bytes, box);
  ASSERT_EQ(part.denominator, 1);
  ASSERT_EQ((Box{part.top, part.left, part.pixels.height, part.pixels.width}), box);
  int wrong = 0;
  for (std::int64_t y = 0; y < box.height; ++y) {
    for (std::int64_t x = 0; x < box.width; ++x) {
      for (std::int64_t c = 0; c < 3; ++c)
        wrong += part.pixels.row(y)[4 * x + c] == byte_of(whole, box.top + y, box.left + x, c) ? 0 : 1;
    }
  }
  EXPECT_EQ(wrong, 0) << box.top << " " << box.left << " " << box.height << " " << box.width;
}

Box any_box(std::int64_t height, std::int64_t width, RandomStream& random) {
  const auto below = [&](std::int64_t bound) {
    return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(bound)));
  };
  const std::int64_t h = 1 + below(height);
  const std::int64_t w = 1 + below(width);
  return {below(height - h + 1), below(width - w + 1), h, w};
}

TEST(PictureParts, OfAJpegAreTheSamePixelsAsInTheWhole) {
  RandomStream random(3, "boxes");
  const cv::Mat pixels = textured(101, 147);
  cv::Mat grey;
  cv::extractChannel(pixels, grey, 1);
  const std::vector<std::pair<std::string, std::string>> files{
      {"4:2:0", encoded(pixels, ".jpg")},
      {"progressive", encoded(pixels, ".jpg", {cv::IMWRITE_JPEG_PROGRESSIVE, 1})},
      {"restart markers", encoded(pixels, ".jpg", {cv::IMWRITE_JPEG_RST_INTERVAL, 3})},
      {"grey", encoded(grey, ".jpg")},
  };
  for (const auto& [name, bytes] : files) {
    SCOPED_TRACE(name);
    expect_part(bytes, {0, 0, 101, 147});
    for (const Box& box : {Box{0, 0, 1, 1}, Box{100, 146, 1, 1}, Box{16, 16, 16, 16}, Box{15, 17, 33, 31}})
      expect_part(bytes, box);
    for (int i = 0; i < 60; ++i) expect_part(bytes, any_box(101, 147, random));
  }
}

TEST(PictureParts, OfOtherFormats) {
  const cv::Mat pixels = textured(20, 30);
  for (const char* format : {".png", ".bmp", ".tiff", ".ppm"})
    expect_part(encoded(pixels, format), {3, 5, 10, 20});
  cv::Mat grey;
  cv::extractChannel(pixels, grey, 0);
  expect_part(encoded(grey, ".png"), {0, 0, 20, 30});
  cv::Mat deep;
  pixels.convertTo(deep, CV_16U, 257, 100);
  expect_part(encoded(deep, ".png"), {1, 2, 3, 4});
  cv::Mat clear(4, 4, CV_8UC4, cv::Scalar(10, 20, 200, 128));
  clear.at<cv::Vec4b>(1, 1) = cv::Vec4b(1, 2, 3, 0);
  expect_part(encoded(clear, ".png"), {0, 0, 4, 4});
}

TEST(PictureParts, ATurnedJpegIsUpright) {
  const std::string jpeg = encoded(textured(40, 56), ".jpg");
  for (char orientation = 1; orientation <= 8; ++orientation) {
    const std::string bytes = turned(jpeg, orientation);
    EXPECT_EQ(read_jpeg_markers(bytes).orientation, orientation);
    const bool upright = orientation < 5;
    EXPECT_EQ(PictureSource(bytes, "p").height(), upright ? 40 : 56);
    EXPECT_EQ(PictureSource(bytes, "p").width(), upright ? 56 : 40);
    expect_part(bytes, {8, 4, 20, 24});
  }
  EXPECT_EQ(read_jpeg_markers(turned(jpeg, 0)).orientation, 1);
  EXPECT_EQ(read_jpeg_markers(turned(jpeg, 9)).orientation, 1);
  EXPECT_EQ(read_jpeg_markers(jpeg).components, 3);
}

TEST(PictureParts, AreReducedAsFarAsTheyStayLargeEnough) {
  const std::string jpeg = encoded(textured(400, 600), ".jpg");
  const auto denominator = [&](const Box& box, std::int64_t least) {
    return part_of(jpeg, box, least).denominator;
  };
  EXPECT_EQ(denominator({0, 0, 400, 600}, 201), 1);
  EXPECT_EQ(denominator({0, 0, 400, 600}, 200), 2);
  EXPECT_EQ(denominator({0, 0, 400, 600}, 100), 4);
  EXPECT_EQ(denominator({0, 0, 400, 600}, 50), 8);
  EXPECT_EQ(denominator({0, 0, 400, 600}, 10), 8);
  EXPECT_EQ(denominator({10, 20, 100, 300}, 50), 2);  // the shorter side decides
  EXPECT_EQ(part_of(encoded(textured(400, 600), ".png"), {0, 0, 400, 600}, 50).denominator, 1);
}

// A reduced pixel is the mean of a square of the whole picture, to within what the transform cuts off.
TEST(PictureParts, ReducedPixelsAreMeans) {
  const cv::Mat pixels = textured(203, 301);
  const std::string jpeg = encoded(pixels, ".jpg", {cv::IMWRITE_JPEG_QUALITY, 95});
  const Picture whole = decode_picture(jpeg, "p");
  for (const std::int64_t d : {2, 4, 8}) {
    const Box box{24, 41, 8 * 20 + 3, 8 * 25 + 5};
    const PictureSource::Part part = part_of(jpeg, box, 160 / d);
    ASSERT_EQ(part.denominator, d);
    EXPECT_EQ(part.top, box.top / d);
    EXPECT_EQ(part.left, box.left / d);
    // All of the box lies in it.
    EXPECT_GE((part.top + part.pixels.height) * d, box.top + box.height);
    EXPECT_GE((part.left + part.pixels.width) * d, box.left + box.width);
    double difference = 0;
    std::int64_t count = 0;
    for (std::int64_t y = 0; y < part.pixels.height - 1; ++y) {
      for (std::int64_t x = 0; x < part.pixels.width - 1; ++x) {
        for (std::int64_t c = 0; c < 3; ++c, ++count) {
          double mean = 0;
          for (std::int64_t i = 0; i < d * d; ++i)
            mean += byte_of(whole, (part.top + y) * d + i / d, (part.left + x) * d + i % d, c);
          difference += std::abs(part.pixels.row(y)[4 * x + c] - mean / static_cast<double>(d * d));
        }
      }
    }
    EXPECT_LT(difference / static_cast<double>(count), 1.2) << d;
  }
}

TEST(PictureParts, WhatCannotBeReadIsNamed) {
  const std::string jpeg = encoded(textured(64, 64), ".jpg");
  const auto said = [](const std::string& bytes) {
    return user_error_of([&] { part_of(bytes, {0, 0, 1, 1}); });
  };
  EXPECT_TRUE(contains(said(jpeg.substr(0, jpeg.size() / 2)), "p: truncated"));
  EXPECT_TRUE(contains(said("a text"), "p: is not a picture"));
  EXPECT_TRUE(contains(said(""), "p: is empty"));
  // A frame header that promises more than there can be.
  std::string huge = jpeg;
  const auto frame = huge.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  huge.replace(frame + 5, 4, "\xff\xff\xff\xff");
  EXPECT_TRUE(contains(said(huge), "65535 x 65535 pixels"));
  // Tables that are not there.
  std::string bare = jpeg;
  const auto tables = bare.find("\xff\xdb");
  bare.erase(tables, static_cast<std::size_t>(2 + (static_cast<unsigned char>(bare[tables + 2]) << 8) +
                                              static_cast<unsigned char>(bare[tables + 3])));
  EXPECT_TRUE(contains(said(bare), "p: damaged"));
}

TEST(PictureParts, MutatedFilesAreReadOrRefused) {
  RandomStream random(6, "parts");
  ::testing::internal::CaptureStderr();
  int read = 0;
  for (const char* format : {".jpg", ".png"}) {
    const std::string whole = encoded(textured(40, 33), format);
    for (int i = 0; i < 500; ++i) {
      try {
        PictureSource source(mutate(whole, random), "p");
        PictureSource::Part part;
        source.decode(any_box(source.height(), source.width(), random), 8, 8, part);
        ++read;
        EXPECT_EQ(part.pixels.values.size(),
                  static_cast<std::size_t>(part.pixels.height * part.pixels.width * 4));
      } catch (const UserError& error) {
        EXPECT_FALSE(contains(error.what(), "\n"));
      }
    }
  }
  EXPECT_GT(read, 50);
  ::testing::internal::GetCapturedStderr();
}

TEST(PictureParts, DecodersSayNothing) {
  std::string jpeg = encoded(textured(64, 64), ".jpg");
  std::fill_n(jpeg.begin() + static_cast<std::ptrdiff_t>(jpeg.size() / 2), 40,
              '\x55');  // in the entropy code
  ::testing::internal::CaptureStderr();
  part_of(jpeg, {0, 0, 64, 64});
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace refnorm::data
