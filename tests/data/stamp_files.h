#pragma once

#include <string>

#include <fmt/format.h>

#include <refnorm/data/stamps.h>

#include "tests/data/folders.h"

namespace refnorm::testing {

/// A picture of one colour (red, green, blue, alpha).
inline data::Rgba plain_stamp(std::int64_t height, std::int64_t width, std::array<int, 4> colour) {
  data::Rgba stamp{height, width, {}};
  for (std::int64_t i = 0; i < height * width; ++i) {
    for (const int value : colour) stamp.values.push_back(static_cast<std::uint8_t>(value));
  }
  return stamp;
}

inline std::string png_of(const data::Rgba& stamp) {
  cv::Mat pixels(static_cast<int>(stamp.height), static_cast<int>(stamp.width), CV_8UC4);
  for (int y = 0; y < pixels.rows; ++y) {
    for (int x = 0; x < pixels.cols; ++x) {
      const std::uint8_t* rgba = stamp.pixel(y, x);
      pixels.at<cv::Vec4b>(y, x) = {rgba[2], rgba[1], rgba[0], rgba[3]};
    }
  }
  return encoded(pixels, ".png");
}

/// An ellipse of one colour that touches all four edges, transparent around it.
inline data::Rgba ellipse(std::int64_t height, std::int64_t width, std::array<int, 4> colour) {
  data::Rgba stamp = plain_stamp(height, width, colour);
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const double down = (2.0 * static_cast<double>(y) + 1) / static_cast<double>(height) - 1;
      const double across = (2.0 * static_cast<double>(x) + 1) / static_cast<double>(width) - 1;
      if (down * down + across * across > 1)
        stamp.values[static_cast<std::size_t>(4 * (y * width + x) + 3)] = 0;
    }
  }
  return stamp;
}

/// `each` ellipses of different sizes in each category's folder.
inline void put_stamps(const TemporaryFolder& folder, const std::vector<std::string>& categories, int each,
                       std::array<int, 4> colour = {200, 30, 60, 255}) {
  for (const std::string& category : categories) {
    for (int i = 0; i < each; ++i)
      put(folder, fmt::format("{}/{}/{}.png", category, i % 2 == 0 ? "even" : "odd", i),
          png_of(ellipse(26 + i % 7, 31 + i % 5, colour)));
  }
}

}  // namespace refnorm::testing
