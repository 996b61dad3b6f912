#include <algorithm>
#include <array>

#include <opencv2/imgproc.hpp>

#include <refnorm/data/scene_background.h>

namespace refnorm::data {
namespace {

using Colour = std::array<double, 3>;

Colour draw_colour(RandomStream& random) {
  Colour colour{};
  for (double& value : colour) value = 255 * random.uniform();
  return colour;
}

/// From one colour to another across the picture, in a random direction.
cv::Mat gradient(cv::Size size, RandomStream& random) {
  const Colour from = draw_colour(random), to = draw_colour(random);
  const double across = 2 * random.uniform() - 1, down = 2 * random.uniform() - 1;
  cv::Mat out(size, CV_32FC3);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const double place = across * (x / static_cast<double>(size.width) - 0.5) +
                           down * (y / static_cast<double>(size.height) - 0.5) + 0.5;
      for (int c = 0; c < 3; ++c)
        out.at<cv::Vec3f>(y, x)[c] = static_cast<float>(from[c] + place * (to[c] - from[c]));
    }
  }
  return out;
}

/// A few random colours in a grid, with cubic splines between them.
cv::Mat clouds(cv::Size size, RandomStream& random) {
  const auto cells = static_cast<int>(3 + random.below(10));
  cv::Mat grid(cells, cells, CV_32FC3);
  for (int y = 0; y < cells; ++y) {
    for (int x = 0; x < cells; ++x) {
      const Colour colour = draw_colour(random);
      for (int c = 0; c < 3; ++c) grid.at<cv::Vec3f>(y, x)[c] = static_cast<float>(colour[c]);
    }
  }
  cv::Mat out;
  cv::resize(grid, out, size, 0, 0, cv::INTER_CUBIC);
  return out;
}

/// On one colour, as large as asked for.
cv::Mat on_colour(const Rgba& stamp, cv::Size size, const Colour& ground) {
  const Rgba picture = scaled(stamp, size.height, size.width, false);
  cv::Mat out(size, CV_32FC3);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const std::uint8_t* pixel = picture.pixel(y, x);
      const double alpha = pixel[3] / 255.0;
      for (int c = 0; c < 3; ++c)
        out.at<cv::Vec3f>(y, x)[c] = static_cast<float>(alpha * pixel[c] + (1 - alpha) * ground[c]);
    }
  }
  return out;
}

void blur(cv::Mat& picture, double deviation) {
  cv::Mat out;
  cv::GaussianBlur(picture, out, cv::Size(0, 0), deviation, deviation, cv::BORDER_REFLECT);
  picture = out;
}

cv::Mat blurred_stamp(cv::Size size, const Rgba& stamp, RandomStream& random) {
  cv::Mat out = on_colour(stamp, size, draw_colour(random));
  blur(out, (0.04 + 0.06 * random.uniform()) * size.width);
  return out;
}

cv::Mat tiles(cv::Size size, const Rgba& stamp, RandomStream& random) {
  const auto side = static_cast<int>(12 + random.below(20));
  cv::Mat tile = on_colour(stamp, {side, side}, draw_colour(random));
  cv::Mat all;
  cv::repeat(tile, size.height / side + 1, size.width / side + 1, all);
  cv::Mat out = all(cv::Rect(0, 0, size.width, size.height)).clone();
  blur(out, 0.08 * side);
  return out;
}

void add_grain(cv::Mat& picture, RandomStream& random) {
  const double deviation = 10 * random.uniform();
  for (int y = 0; y < picture.rows; ++y) {
    auto* row = picture.ptr<float>(y);
    for (int i = 0; i < 3 * picture.cols; ++i) row[i] += static_cast<float>(deviation * random.normal());
  }
}

}  // namespace

Rgb draw_background(std::int64_t height, std::int64_t width, const Rgba& stamp, RandomStream& random) {
  const cv::Size size(static_cast<int>(width), static_cast<int>(height));
  cv::Mat picture;
  switch (random.below(4)) {
    case 0:
      picture = gradient(size, random);
      break;
    case 1:
      picture = clouds(size, random);
      break;
    case 2:
      picture = blurred_stamp(size, stamp, random);
      break;
    default:
      picture = tiles(size, stamp, random);
  }
  add_grain(picture, random);
  Rgb out{height, width, {}};
  out.values.reserve(static_cast<std::size_t>(3 * height * width));
  for (int y = 0; y < picture.rows; ++y) {
    const auto* row = picture.ptr<float>(y);
    for (int i = 0; i < 3 * picture.cols; ++i)
      out.values.push_back(static_cast<std::uint8_t>(std::clamp(row[i] + 0.5F, 0.0F, 255.0F)));
  }
  return out;
}

}  // namespace refnorm::data
