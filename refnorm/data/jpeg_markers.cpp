#include <cstddef>

#include <refnorm/data/jpeg_markers.h>

namespace refnorm::data {
namespace {

constexpr unsigned kEndOfImage = 0xd9;

/// Markers without a segment behind them: TEM, the restart markers between parts of a scan, start of image.
bool stands_alone(unsigned marker) {
  return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

/// SOF0 … SOF15; the three others in that range define tables.
bool is_frame_header(unsigned marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}

  JpegMarkers run() {
    JpegMarkers found;
    for (std::size_t place = 2; find_marker(place);) {
      const unsigned marker = byte(place - 1);
      if (marker == kEndOfImage) {
        found.complete = true;
        break;
      }
      if (stands_alone(marker)) continue;
      if (place + 2 > bytes_.size()) break;
      if (is_frame_header(marker) && found.width == 0 && place + 7 <= bytes_.size()) {
        found.height = two_bytes(place + 3);
        found.width = two_bytes(place + 5);
      }
      // Behind a scan's header come its entropy-coded data, in which find_marker() passes over all but a
      // marker.
      place += static_cast<std::size_t>(two_bytes(place));
    }
    return found;
  }

 private:
  unsigned byte(std::size_t place) const { return static_cast<unsigned char>(bytes_[place]); }
  std::int64_t two_bytes(std::size_t place) const {
    return static_cast<std::int64_t>(byte(place) << 8 | byte(place + 1));
  }

  /// Moves `place` behind the next 0xff that is followed by a marker's code: neither 0x00 (a value 0xff of
  /// the data) nor 0xff (fill).
  bool find_marker(std::size_t& place) const {
    for (; place + 1 < bytes_.size(); ++place) {
      if (byte(place) != 0xff || byte(place + 1) == 0x00 || byte(place + 1) == 0xff) continue;
      place += 2;
      return true;
    }
    return false;
  }

  std::string_view bytes_;
};

}  // namespace

JpegMarkers read_jpeg_markers(std::string_view bytes) {
  return Walk(bytes).run();
}

}  // namespace refnorm::data
