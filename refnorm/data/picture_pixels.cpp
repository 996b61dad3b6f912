#include <limits>

#include <opencv2/imgcodecs.hpp>

#include <refnorm/base/error.h>
#include <refnorm/data/jpeg_markers.h>
#include <refnorm/data/picture_pixels.h>

namespace refnorm::data {
namespace {

constexpr std::int64_t kMostPixels = std::int64_t{1} << 27;

/// OpenCV reads many more formats, by libraries that nobody would expect behind a picture; only these pass.
PictureKind kind_of(std::string_view bytes, const std::string& origin) {
  using namespace std::string_view_literals;
  if (bytes.empty()) user_error("{}: is empty, expected a picture", origin);
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) return PictureKind::kPng;
  if (bytes.starts_with("\xff\xd8\xff"sv)) return PictureKind::kJpeg;
  const bool webp = bytes.starts_with("RIFF"sv) && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP"sv;
  const bool tiff = bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv);
  const bool pnm = bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
                   (bytes[2] == ' ' || (bytes[2] >= '\t' && bytes[2] <= '\r') || bytes[2] == '#');
  if (webp || tiff || pnm || bytes.starts_with("BM"sv)) return PictureKind::kOther;
  user_error("{}: is not a picture that can be read, expected PNG, JPEG, BMP, PNM, TIFF or WebP", origin);
}

void check_size(std::int64_t height, std::int64_t width, const std::string& origin) {
  if (height * width <= kMostPixels) return;
  user_error("{}: {} x {} pixels, expected at most {}", origin, width, height, kMostPixels);
}

/// What can be told before anything is decoded.
void check_header(PictureKind kind, std::string_view bytes, const std::string& origin) {
  if (kind == PictureKind::kJpeg) {
    const JpegMarkers markers = read_jpeg_markers(bytes);
    if (!markers.complete) user_error("{}: truncated, it ends before its end-of-image marker", origin);
    check_size(markers.height, markers.width, origin);
  }
  constexpr std::size_t kWidthInPng = 16;  // the header chunk is the first, by the format
  if (kind == PictureKind::kPng && bytes.size() >= kWidthInPng + 8) {
    const auto number = [&](std::size_t place) {
      std::int64_t value = 0;
      for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[place + i]);
      return value;
    };
    check_size(number(kWidthInPng + 4), number(kWidthInPng), origin);
  }
}

}  // namespace

PictureKind check_picture(std::string_view bytes, const std::string& origin) {
  const PictureKind kind = kind_of(bytes, origin);
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    user_error("{}: {} bytes, more than a picture can have", origin, bytes.size());
  check_header(kind, bytes, origin);
  return kind;
}

cv::Mat decode_pixels(PictureKind kind, std::string_view bytes, const std::string& origin) {
  // IMREAD_UNCHANGED keeps the alpha channel and ignores EXIF; a JPEG has EXIF and no alpha channel.
  const int flags =
      kind == PictureKind::kJpeg ? cv::IMREAD_ANYCOLOR | cv::IMREAD_ANYDEPTH : cv::IMREAD_UNCHANGED;
  cv::Mat pixels;
  try {
    const cv::Mat raw(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
    pixels = cv::imdecode(raw, flags);
  } catch (const std::exception&) {  // what() is several lines; it is said below
  }
  if (pixels.empty()) user_error("{}: damaged or truncated, its pixels cannot be decoded", origin);
  const int channels = pixels.channels();
  const bool known_depth = pixels.depth() == CV_8U || pixels.depth() == CV_16U;
  if (!known_depth || (channels != 1 && channels != 3 && channels != 4)) {
    user_error("{}: {} channels of {} bits a value, expected 1, 3 or 4 of 8 or 16 (unsigned)", origin,
               channels, 8 * pixels.elemSize1());
  }
  check_size(pixels.rows, pixels.cols, origin);
  return pixels;
}

}  // namespace refnorm::data
