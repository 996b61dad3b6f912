#pragma once

#include <cstdint>
#include <string_view>

namespace refnorm::data {

/// What the markers of a JPEG file say. libjpeg fills what is missing of a truncated one with grey and goes
/// on, so that decoding it does not tell.
struct JpegMarkers {
  bool complete =
      false;  ///< the end-of-image marker stands behind the scans (one in a thumbnail does not count)
  std::int64_t height = 0, width = 0;  ///< of the first frame header, as stored; 0 where there is none
  int components = 0;                  ///< 1: grey, 3: colour, 4: CMYK or YCCK
  int bits = 0;                        ///< of a value
  int orientation = 1;  ///< of the EXIF data, 1 … 8: what turns the stored rows upright; 1: nothing
};

JpegMarkers read_jpeg_markers(std::string_view bytes);

}  // namespace refnorm::data
