#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/data/picture.h>
#include <refnorm/data/picture_pixels.h>

namespace refnorm::data {
namespace {

/// On white, where there is an alpha channel.
template <class Value>
Picture from_pixels(const cv::Mat& pixels) {
  constexpr auto kScale = 1.0F / static_cast<float>(std::numeric_limits<Value>::max());
  const int from = pixels.channels();
  const int to = std::min(from, 3);
  Picture picture{pixels.rows, pixels.cols, to, {}};
  picture.values.reserve(pixels.total() * static_cast<std::size_t>(to));
  for (int y = 0; y < pixels.rows; ++y) {
    const auto* row = pixels.ptr<Value>(y);
    for (int x = 0; x < pixels.cols; ++x) {
      const Value* pixel = row + std::ptrdiff_t{x} * from;
      const float alpha = from == 4 ? static_cast<float>(pixel[3]) * kScale : 1.0F;
      for (int c = to - 1; c >= 0; --c) {  // blue comes first there
        picture.values.push_back(static_cast<float>(pixel[c]) * kScale * alpha + (1 - alpha));
      }
    }
  }
  return picture;
}

/// The largest centred part with the proportions of height : width, and of its sides that share.
cv::Rect centre(const Picture& picture, std::int64_t height, std::int64_t width, double share) {
  const auto part = [share](std::int64_t other, std::int64_t numerator, std::int64_t denominator,
                            std::int64_t most) {
    const double wanted =
        static_cast<double>(other) * static_cast<double>(numerator) / static_cast<double>(denominator);
    const double fitting = std::min(wanted, static_cast<double>(most));
    return std::clamp<std::int64_t>(std::llround(share * fitting), 1, most);
  };
  const std::int64_t w = part(picture.height, width, height, picture.width);
  const std::int64_t h = part(picture.width, height, width, picture.height);
  return {static_cast<int>((picture.width - w) / 2), static_cast<int>((picture.height - h) / 2),
          static_cast<int>(w), static_cast<int>(h)};
}

/// The part resized, in one continuous block.
cv::Mat resized(const Picture& picture, std::int64_t height, std::int64_t width, double share) {
  const cv::Mat whole(static_cast<int>(picture.height), static_cast<int>(picture.width),
                      CV_MAKETYPE(CV_32F, static_cast<int>(picture.channels)),
                      const_cast<float*>(picture.values.data()));
  const cv::Mat part = whole(centre(picture, height, width, share));
  cv::Mat out;
  const cv::Size size(static_cast<int>(width), static_cast<int>(height));
  if (part.size() == size) {
    out = part.clone();
  } else {
    const bool shrinks = part.rows > size.height || part.cols > size.width;
    cv::resize(part, out, size, 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
  }
  return out;
}

}  // namespace

Picture decode_picture(std::string_view bytes, const std::string& origin) {
  const cv::Mat pixels = decode_pixels(check_picture(bytes, origin), bytes, origin);
  return pixels.depth() == CV_8U ? from_pixels<std::uint8_t>(pixels) : from_pixels<std::uint16_t>(pixels);
}

Picture read_picture(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    user_error("{}: is a folder, expected a picture", file.string());
  return decode_picture(read_file(file), file.string());
}

Picture inverted(Picture picture) {
  for (float& value : picture.values) value = 1 - value;
  return picture;
}

std::vector<float> network_values(const Picture& picture, const PictureFormat& format) {
  if (format.channels != 1 && format.channels != 3)
    user_error("the network takes {} channels; pictures have 1 (grey) or 3 (colour)", format.channels);
  const cv::Mat fitted = resized(picture, format.height, format.width, format.centre);
  const auto* values = fitted.ptr<float>();
  const auto pixels = static_cast<std::size_t>(format.height * format.width);
  const auto from = static_cast<std::size_t>(picture.channels);
  std::vector<float> out;
  out.reserve(pixels * static_cast<std::size_t>(format.channels));
  for (std::size_t c = 0; c < static_cast<std::size_t>(format.channels); ++c) {
    for (std::size_t i = 0; i < pixels; ++i) {
      const float* pixel = values + i * from;
      double value = pixel[from == 3 ? c : 0];
      if (from == 3 && format.channels == 1) value = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
      out.push_back(static_cast<float>((value - format.mean.at(c)) / format.std.at(c)));
    }
  }
  return out;
}

}  // namespace refnorm::data
