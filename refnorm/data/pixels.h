#pragma once

#include <cstdint>
#include <vector>

namespace refnorm::data {

/// Whole rows and columns of a picture.
struct Box {
  std::int64_t top = 0, left = 0, height = 0, width = 0;

  bool operator==(const Box&) const = default;
};

/// Bytes of a picture, or of a part of one: [height, width, 4] row-major; red, green, blue, and one of no
/// meaning, so that a pixel is a vector of four.
struct Pixels {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> values;

  static constexpr std::int64_t kChannels = 4;

  /// Reuses the memory that is there.
  void resize(std::int64_t new_height, std::int64_t new_width) {
    height = new_height;
    width = new_width;
    values.resize(static_cast<std::size_t>(height * width * kChannels));
  }
  const std::uint8_t* row(std::int64_t y) const { return values.data() + y * width * kChannels; }
  std::uint8_t* row(std::int64_t y) { return values.data() + y * width * kChannels; }
};

}  // namespace refnorm::data
