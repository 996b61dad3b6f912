#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include <refnorm/base/random.h>

namespace refnorm::testing {

/// A picture's file; `settings` are OpenCV's, such as cv::IMWRITE_JPEG_PROGRESSIVE, 1.
inline std::string encoded(const cv::Mat& pixels, const std::string& format,
                           const std::vector<int>& settings = {}) {
  std::vector<unsigned char> bytes;
  EXPECT_TRUE(cv::imencode(format, pixels, bytes, settings));
  return {bytes.begin(), bytes.end()};
}

/// An EXIF segment that asks for `orientation` (6: a quarter turn), behind the start-of-image marker.
inline std::string turned(const std::string& jpeg, char orientation = 6) {
  using namespace std::string_literals;
  std::string tiff = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0?\0\0\0\0\0\0"s;
  tiff[19] = orientation;
  std::string body = "Exif\0\0"s;
  body.append(tiff);
  const auto length = body.size() + 2;
  return jpeg.substr(0, 2) + "\xff\xe1"s + static_cast<char>(length >> 8) + static_cast<char>(length & 0xff) +
         body + jpeg.substr(2);
}

/// Colours (OpenCV's order) that change slowly here and fast there, as those of photographs do.
inline cv::Mat textured(int height, int width, std::uint64_t seed = 1) {
  RandomStream random(seed, "texture");
  double wave[3][3];
  for (auto& row : wave) {
    for (double& number : row) number = random.uniform();
  }
  cv::Mat pixels(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const double slow = std::sin(0.03 * (y * wave[c][0] + x * wave[c][1]) + 6 * wave[c][2]);
        const double fast = std::sin(0.0004 * x * y + 9 * wave[c][2]);
        pixels.at<cv::Vec3b>(y, x)[c] =
            static_cast<unsigned char>(128 + 60 * slow + 40 * fast + 20 * random.uniform());
      }
    }
  }
  return pixels;
}

}  // namespace refnorm::testing
