#pragma once

#include <cstdint>
#include <string>

#include <refnorm/data/pixels.h>

namespace refnorm::data {

/// A picture's file in memory, of which parts are decoded: of a JPEG, no more than the part, and at a reduced
/// size where that is enough. It is what decode_picture() reads, as bytes of three colours: grey becomes
/// three equal ones, 16 bits are rounded to 8, transparent parts become white, CMYK becomes RGB, and a JPEG
/// is turned upright as its EXIF data ask.
class PictureSource {
 public:
  /// Reads the header of a JPEG; other pictures are decoded. Throws UserError of one line naming `origin`, as
  /// decode_picture() does.
  PictureSource(std::string bytes, std::string origin);

  std::int64_t height() const { return height_; }
  std::int64_t width() const { return width_; }

  /// Some of the picture, 1/`denominator` of its size: pixel (y, x) of the reduced picture is averaged over
  /// rows denominator · y … denominator · (y + 1) of the whole one, and columns likewise.
  struct Part {
    Pixels pixels;
    std::int64_t denominator = 1;
    std::int64_t top = 0, left = 0;  ///< of `pixels` in the reduced picture
  };

  /// What `box` covers, at the smallest size of 1, 1/2, 1/4 and 1/8 at which it has at least
  /// `least_height` rows and `least_width` columns. Only JPEGs are reduced. Reuses the memory of `part`.
  /// Requires a box within the picture. Throws UserError where its pixels cannot be decoded.
  void decode(const Box& box, std::int64_t least_height, std::int64_t least_width, Part& part);

 private:
  void decode_whole();

  std::string bytes_, origin_;
  std::int64_t height_ = 0, width_ = 0;
  bool in_parts_ = false;
  Pixels whole_;  ///< where it is not decoded in parts
};

}  // namespace refnorm::data
