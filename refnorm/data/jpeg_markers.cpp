#include <cstddef>
#include <cstring>

#include <refnorm/data/jpeg_markers.h>

namespace refnorm::data {
namespace {

constexpr unsigned kEndOfImage = 0xd9;
constexpr unsigned kApplication1 = 0xe1;

/// Markers without a segment behind them: TEM, the restart markers between parts of a scan, start of image.
bool stands_alone(unsigned marker) {
  return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

/// SOF0 … SOF15; the three others in that range define tables.
bool is_frame_header(unsigned marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/// The orientation entry of the first directory of EXIF data, a TIFF file without pictures; 1 where there is
/// none.
int orientation_of(std::string_view tiff) {
  constexpr std::uint64_t kTag = 0x0112;
  constexpr std::size_t kEntry = 12;  // tag, type (3: 16 bits), count, value
  if (tiff.size() < 8) return 1;
  const bool little = tiff.starts_with("II");
  const auto number = [&](std::size_t place, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t at = place + (little ? size - 1 - i : i);
      value = value << 8 | (at < tiff.size() ? static_cast<unsigned char>(tiff[at]) : 0U);
    }
    return value;
  };
  const std::size_t directory = number(4, 4);
  if (directory >= tiff.size()) return 1;
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntry;
    if (entry + kEntry > tiff.size()) break;
    if (number(entry, 2) != kTag) continue;
    const std::uint64_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}

  JpegMarkers run() {
    JpegMarkers found;
    bool oriented = false;
    for (std::size_t place = 2; find_marker(place);) {
      const unsigned marker = byte(place - 1);
      if (marker == kEndOfImage) {
        found.complete = true;
        break;
      }
      if (stands_alone(marker)) continue;
      if (place + 2 > bytes_.size()) break;
      if (is_frame_header(marker) && found.width == 0 && place + 8 <= bytes_.size()) {
        found.bits = static_cast<int>(byte(place + 2));
        found.height = two_bytes(place + 3);
        found.width = two_bytes(place + 5);
        found.components = static_cast<int>(byte(place + 7));
      }
      if (marker == kApplication1 && !oriented) {
        using namespace std::string_view_literals;
        const std::string_view segment = bytes_.substr(place, static_cast<std::size_t>(two_bytes(place)));
        constexpr auto kExif = "Exif\0\0"sv;
        oriented = segment.size() > 2 && segment.substr(2).starts_with(kExif);
        if (oriented) found.orientation = orientation_of(segment.substr(2 + kExif.size()));
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
    while (place + 1 < bytes_.size()) {
      const auto* const found = std::memchr(bytes_.data() + place, 0xff, bytes_.size() - 1 - place);
      if (found == nullptr) return false;
      place = static_cast<std::size_t>(static_cast<const char*>(found) - bytes_.data()) + 1;
      if (byte(place) == 0x00 || byte(place) == 0xff) continue;
      ++place;
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
