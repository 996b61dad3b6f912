#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>
#include <opencv2/core.hpp>

#include <refnorm/base/file.h>
#include <refnorm/base/random.h>
#include <refnorm/data/jpeg_markers.h>
#include <refnorm/data/picture.h>
#include <refnorm/data/picture_label.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"
#include "tests/data/picture_files.h"

namespace refnorm {
namespace {

using namespace testing;
using data::decode_picture;
using data::inverted;
using data::network_values;
using data::Picture;

/// Of OpenCV's order: blue, green, red.
cv::Mat colours(int height = 2, int width = 3) {
  cv::Mat pixels(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) pixels.at<cv::Vec3b>(y, x) = {cv::Vec3b(10, 51, 102)};
  }
  pixels.at<cv::Vec3b>(0, 0) = cv::Vec3b(0, 0, 255);
  return pixels;
}

cv::Mat gradient(int height, int width) {
  cv::Mat pixels(height, width, CV_8UC1);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x)
      pixels.at<unsigned char>(y, x) = static_cast<unsigned char>((x * 7 + y * 3) % 256);
  }
  return pixels;
}

void expect_near(const std::vector<float>& found, const std::vector<float>& expected, double by = 1e-6) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], by) << i;
}

std::string complaint(const std::string& bytes) {
  const std::string said = user_error_of([&] { decode_picture(bytes, "the file"); });
  EXPECT_TRUE(said.starts_with("the file: ")) << said;
  return said;
}

TEST(Pictures, RedComesFirst) {
  for (const char* format : {".png", ".bmp", ".tiff", ".ppm"}) {
    const Picture picture = decode_picture(encoded(colours(), format), "p");
    EXPECT_EQ(picture.height, 2) << format;
    EXPECT_EQ(picture.width, 3);
    EXPECT_EQ(picture.channels, 3);
    ASSERT_EQ(picture.values.size(), 18U);
    expect_near({picture.values.begin(), picture.values.begin() + 6}, {1, 0, 0, 0.4F, 0.2F, 10 / 255.0F});
  }
}

TEST(Pictures, Grey) {
  for (const char* format : {".png", ".pgm", ".bmp"}) {
    const Picture picture = decode_picture(encoded(gradient(3, 4), format), "p");
    EXPECT_EQ(picture.height, 3);
    for (int i = 0; i < 12; ++i) {
      EXPECT_NEAR(picture.values[static_cast<std::size_t>(i * picture.channels)],
                  (i % 4 * 7 + i / 4 * 3) / 255.0, 1e-6);
    }
  }
}

TEST(Pictures, SixteenBits) {
  const cv::Mat pixels(1, 2, CV_16UC1, cv::Scalar(65535));
  cv::Mat half = pixels.clone();
  half.at<std::uint16_t>(0, 1) = 257;
  expect_near(decode_picture(encoded(half, ".png"), "p").values, {1, 1 / 255.0F});
}

TEST(Pictures, TransparencyIsWhite) {
  cv::Mat pixels(1, 3, CV_8UC4, cv::Scalar(0, 0, 0, 255));
  pixels.at<cv::Vec4b>(0, 1) = cv::Vec4b(0, 0, 0, 0);
  pixels.at<cv::Vec4b>(0, 2) = cv::Vec4b(0, 0, 255, 51);  // a fifth of red on white
  expect_near(decode_picture(encoded(pixels, ".png"), "p").values, {0, 0, 0, 1, 1, 1, 1, 0.8F, 0.8F});
}

TEST(Pictures, Jpeg) {
  const cv::Mat pixels(40, 50, CV_8UC3, cv::Scalar(50, 100, 200));
  const Picture picture = decode_picture(encoded(pixels, ".jpg"), "p");
  EXPECT_EQ(picture.height, 40);
  EXPECT_EQ(picture.width, 50);
  expect_near({picture.values.begin(), picture.values.begin() + 3}, {200 / 255.0F, 100 / 255.0F, 50 / 255.0F},
              0.02);
}

TEST(Pictures, AJpegIsTurnedUpright) {
  const Picture picture = decode_picture(turned(encoded(gradient(16, 24), ".jpg")), "p");
  EXPECT_EQ(picture.height, 24);
  EXPECT_EQ(picture.width, 16);
}

TEST(Pictures, ATruncatedJpegIsRefused) {
  const std::string whole = encoded(gradient(64, 64), ".jpg");
  EXPECT_TRUE(contains(complaint(whole.substr(0, whole.size() - 2)), "truncated"));
  for (std::size_t kept = 3; kept + 2 < whole.size(); kept += 13) complaint(whole.substr(0, kept));
  // An end within a thumbnail is not the picture's.
  complaint(turned(whole.substr(0, whole.size() - 40)));
  EXPECT_EQ(decode_picture(whole + "trailing bytes", "p").width, 64);
}

TEST(Pictures, JpegMarkers) {
  const std::string whole = encoded(gradient(30, 20), ".jpg");
  const data::JpegMarkers markers = data::read_jpeg_markers(whole);
  EXPECT_TRUE(markers.complete);
  EXPECT_EQ(markers.height, 30);
  EXPECT_EQ(markers.width, 20);
  for (std::size_t kept = 0; kept < whole.size(); ++kept)
    EXPECT_FALSE(data::read_jpeg_markers(whole.substr(0, kept)).complete) << kept;
  // The end-of-image marker of a thumbnail lies within a segment, which is passed over.
  const std::string thumbnail = std::string("\xff\xe1\x00\x06\xff\xd9\xff\xd9", 8);
  EXPECT_FALSE(data::read_jpeg_markers(whole.substr(0, 2) + thumbnail + whole.substr(2, 300)).complete);
}

TEST(Pictures, DamagedFiles) {
  complaint("");
  complaint("hello, this is a text");
  complaint(std::string(500, '\0'));
  complaint("\x89PNG\r\n\x1a\n");
  complaint("\xff\xd8\xff");
  complaint("BM");
  complaint("P5\n-1 -1\n255\n");
  complaint("II*");
  complaint(std::string("RIFF\0\0\0\0WEBP", 12));
  ::testing::internal::CaptureStderr();  // the decoders' own words
  const std::string png = encoded(gradient(40, 40), ".png");
  for (std::size_t kept = 8; kept + 20 < png.size(); kept += 17) complaint(png.substr(0, kept));
  const std::string bmp = encoded(gradient(40, 40), ".bmp");
  complaint(bmp.substr(0, bmp.size() / 2));
  const std::string pgm = encoded(gradient(40, 40), ".pgm");
  complaint(pgm.substr(0, pgm.size() / 2));
  ::testing::internal::GetCapturedStderr();
}

TEST(Pictures, TooLarge) {
  std::string png = encoded(gradient(4, 4), ".png");
  png[16] = 0x00;  // width and height of 2^20
  png.replace(16, 8, std::string("\x00\x10\x00\x00\x00\x10\x00\x00", 8));
  EXPECT_TRUE(contains(complaint(png), "1048576 x 1048576 pixels"));
}

TEST(Pictures, MutatedFilesAreReadOrRefused) {
  RandomStream random(5, "pictures");
  ::testing::internal::CaptureStderr();
  for (const char* format : {".png", ".jpg", ".bmp", ".tiff", ".ppm", ".webp"}) {
    const std::string whole = encoded(colours(17, 23), format);
    for (int i = 0; i < 200; ++i) {
      try {
        const Picture picture = decode_picture(mutate(whole, random), "p");
        EXPECT_EQ(static_cast<std::int64_t>(picture.values.size()),
                  picture.height * picture.width * picture.channels);
      } catch (const UserError& error) {
        EXPECT_FALSE(contains(error.what(), "\n"));
      }
    }
  }
  ::testing::internal::GetCapturedStderr();
}

TEST(Pictures, Files) {
  const TemporaryFolder folder;
  write_file(folder / "a.png", encoded(gradient(3, 4), ".png"));
  EXPECT_EQ(data::read_picture(folder / "a.png").width, 4);
  EXPECT_TRUE(contains(user_error_of([&] { data::read_picture(folder.path()); }), "is a folder"));
  EXPECT_TRUE(contains(user_error_of([&] { data::read_picture(folder / "none.png"); }), "none.png: "));
  write_file(folder / "empty.png", "");
  EXPECT_TRUE(contains(user_error_of([&] { data::read_picture(folder / "empty.png"); }), "is empty"));
}

TEST(NetworkValues, AreScaledByChannel) {
  const Picture picture{1, 2, 3, {0.5F, 0.25F, 1, 0, 0.75F, 0.5F}};
  expect_near(network_values(picture, {3, 1, 2, {0.5, 0.25, 0}, {0.5, 0.25, 2}}), {0, -1, 0, 2, 0.5F, 0.25F});
}

TEST(NetworkValues, GreyAndColour) {
  expect_near(network_values({1, 1, 3, {1, 0.5F, 0.25F}}, {1, 1, 1, {0}, {1}}), {0.299F + 0.2935F + 0.0285F});
  expect_near(network_values({1, 1, 1, {0.5F}}, {3, 1, 1, {0, 0, 0.5}, {1, 2, 1}}), {0.5F, 0.25F, 0});
  user_error_of([] { network_values({1, 1, 1, {0.5F}}, {2, 1, 1, {0, 0}, {1, 1}}); });
}

TEST(NetworkValues, TheCentreIsCutOutAndAveraged) {
  // 2 x 8 grey; the centre 2 x 2 of it for a square of 1 x 1: columns 3 and 4.
  Picture wide{2, 8, 1, std::vector<float>(16, 9)};
  for (const std::size_t row : {0U, 1U}) {
    wide.values[row * 8 + 3] = row == 0 ? 0.1F : 0.2F;
    wide.values[row * 8 + 4] = row == 0 ? 0.3F : 0.4F;
  }
  expect_near(network_values(wide, {1, 1, 1, {0}, {1}}), {0.25F});
  expect_near(network_values(wide, {1, 2, 2, {0}, {1}}), {0.1F, 0.3F, 0.2F, 0.4F});
  const Picture tall{6, 2, 1, {9, 9, 9, 9, 0.1F, 0.3F, 0.2F, 0.4F, 9, 9, 9, 9}};
  expect_near(network_values(tall, {1, 1, 1, {0}, {1}}), {0.25F});
}

TEST(NetworkValues, AnySize) {
  for (const auto& [height, width] :
       {std::pair(1, 1), std::pair(1, 5000), std::pair(5000, 1), std::pair(27, 29)}) {
    const Picture picture{height, width, 1,
                          std::vector<float>(static_cast<std::size_t>(height * width), 0.5F)};
    expect_near(network_values(picture, {1, 28, 28, {0}, {1}}), std::vector<float>(784, 0.5F));
    EXPECT_EQ(network_values(picture, {1, 8, 100, {0}, {1}}).size(), 800U);
  }
}

TEST(NetworkValues, Inverted) {
  expect_near(inverted({1, 2, 1, {0.25F, 1}}).values, {0.75F, 0});
}

Picture labelled(const Picture& picture, const std::string& label, const std::string& detail = "98.5 %") {
  return decode_picture(data::labelled_png(picture, label, detail), "p");
}

/// The least and the most value of the rows from `from` on.
std::pair<float, float> range_below(const Picture& picture, std::int64_t from) {
  const auto begin = picture.values.begin() + from * picture.width * picture.channels;
  const auto [least, most] = std::minmax_element(begin, picture.values.end());
  return {*least, *most};
}

TEST(LabelledPictures, AreEnlargedAndHaveABarBelow) {
  for (const float shade : {0.0F, 0.5F, 1.0F}) {
    const Picture small{28, 28, 1, std::vector<float>(784, shade)};
    const Picture drawn = labelled(small, "7");
    EXPECT_EQ(drawn.width, 224);
    ASSERT_GT(drawn.height, 224 + 16);
    EXPECT_NEAR(drawn.values[0], shade, 0.01);
    // White on dark, whatever the picture's shade.
    const auto [least, most] = range_below(drawn, 224);
    EXPECT_LT(least, 0.2);
    EXPECT_GT(most, 0.9);
  }
}

TEST(LabelledPictures, KeepTheirPixels) {
  Picture picture{300, 400, 3, std::vector<float>(360000, 0.2F)};
  picture.values[(10 * 400 + 20) * 3] = 1;  // red
  const Picture drawn = labelled(picture, "cat");
  EXPECT_EQ(drawn.width, 400);
  expect_near({drawn.values[(10 * 400 + 20) * 3], drawn.values[(10 * 400 + 20) * 3 + 1]}, {1, 0.2F}, 0.01);
}

TEST(LabelledPictures, AnyLabelAndAnySize) {
  const Picture small{28, 28, 1, std::vector<float>(784, 0.5F)};
  for (const std::string& label :
       {std::string(), std::string(1000, 'W'), std::string("H\xc3\xa4user\n\x01"), std::string("%s%n")}) {
    const Picture drawn = labelled(small, label);
    EXPECT_EQ(drawn.width, 224);
    EXPECT_GT(range_below(drawn, 224).second, 0.9);
  }
  for (const auto& [height, width] : {std::pair(1, 1), std::pair(1, 6000), std::pair(6000, 1)}) {
    const Picture odd{height, width, 1, std::vector<float>(static_cast<std::size_t>(height * width), 0.5F)};
    EXPECT_GE(labelled(odd, "7").width, 224);
  }
}

}  // namespace
}  // namespace refnorm
