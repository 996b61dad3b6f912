#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/data/jpeg_markers.h>
#include <refnorm/data/jpeg_part.h>
#include <refnorm/data/picture_pixels.h>
#include <refnorm/data/picture_source.h>

namespace refnorm::data {
namespace {

constexpr std::int64_t kSmallest = 8;  // denominators of libjpeg's fast transforms: 1, 2, 4, 8

/// On white, where there is an alpha channel.
template <class Value>
void to_bytes(const cv::Mat& from, Pixels& to) {
  constexpr std::uint32_t kMost = std::numeric_limits<Value>::max();
  // 65535 = 255 · 257; (255 v + 32767) / 65535 is v / 257 rounded.
  const auto byte = [](std::uint32_t value) {
    return static_cast<std::uint8_t>(kMost == 255 ? value : (value * 255 + kMost / 2) / kMost);
  };
  const int channels = from.channels();
  for (int y = 0; y < from.rows; ++y) {
    const auto* pixel = from.ptr<Value>(y);
    std::uint8_t* out = to.row(y);
    for (int x = 0; x < from.cols; ++x, pixel += channels, out += Pixels::kChannels) {
      for (int c = 0; c < 3; ++c) {
        std::uint32_t value = pixel[channels == 1 ? 0 : 2 - c];  // blue comes first there
        if (channels == 4) {
          const std::uint64_t alpha = pixel[3];
          value = static_cast<std::uint32_t>(
              (value * alpha + std::uint64_t{kMost} * (kMost - alpha) + kMost / 2) / kMost);
        }
        out[c] = byte(value);
      }
      out[3] = 255;
    }
  }
}

}  // namespace

PictureSource::PictureSource(std::string bytes, std::string origin)
    : bytes_(std::move(bytes)), origin_(std::move(origin)) {
  const PictureKind kind = check_picture(bytes_, origin_);
  if (kind == PictureKind::kJpeg) {
    const JpegMarkers markers = read_jpeg_markers(bytes_);
    height_ = markers.height;
    width_ = markers.width;
    // libjpeg does not make RGB of CMYK, and what is to be turned is rare: OpenCV reads those as a whole.
    in_parts_ = height_ > 0 && width_ > 0 && (markers.components == 1 || markers.components == 3) &&
                markers.bits == 8 && markers.orientation == 1;
  }
  if (!in_parts_) decode_whole();
}

void PictureSource::decode_whole() {
  const cv::Mat pixels = decode_pixels(check_picture(bytes_, origin_), bytes_, origin_);
  height_ = pixels.rows;
  width_ = pixels.cols;
  whole_.resize(height_, width_);
  if (pixels.depth() == CV_8U) {
    to_bytes<std::uint8_t>(pixels, whole_);
  } else {
    to_bytes<std::uint16_t>(pixels, whole_);
  }
  bytes_.clear();
}

void PictureSource::decode(const Box& box, std::int64_t least_height, std::int64_t least_width, Part& part) {
  part.denominator = 1;
  if (in_parts_) {
    while (part.denominator < kSmallest && box.height >= least_height * part.denominator * 2 &&
           box.width >= least_width * part.denominator * 2)
      part.denominator *= 2;
  }
  const std::int64_t d = part.denominator;
  part.top = box.top / d;
  part.left = box.left / d;
  const Box reduced{part.top, part.left, (box.top + box.height + d - 1) / d - part.top,
                    (box.left + box.width + d - 1) / d - part.left};
  if (in_parts_) {
    if (!decode_jpeg_part(bytes_, d, reduced, part.pixels))
      user_error("{}: damaged, its pixels cannot be decoded", origin_);
    return;
  }
  part.pixels.resize(reduced.height, reduced.width);
  for (std::int64_t y = 0; y < reduced.height; ++y) {
    std::memcpy(part.pixels.row(y), whole_.row(reduced.top + y) + reduced.left * Pixels::kChannels,
                static_cast<std::size_t>(reduced.width * Pixels::kChannels));
  }
}

}  // namespace refnorm::data
