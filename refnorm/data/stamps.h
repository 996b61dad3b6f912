#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace refnorm::data {

/// A picture with transparency: bytes [height, width, 4] row-major; red, green, blue, alpha (255: opaque).
struct Rgba {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> values;

  const std::uint8_t* pixel(std::int64_t y, std::int64_t x) const {
    return values.data() + 4 * (y * width + x);
  }
};

/// A picture without: [height, width, 3].
struct Rgb {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> values;

  std::uint8_t* pixel(std::int64_t y, std::int64_t x) { return values.data() + 3 * (y * width + x); }
  const std::uint8_t* pixel(std::int64_t y, std::int64_t x) const {
    return values.data() + 3 * (y * width + x);
  }
};

/// A category's stamps: things cut out of their pictures.
struct StampCategory {
  std::string name;
  std::vector<std::string> files;  ///< below the folder of all, in order
};

/// Of a category that sets are made of.
inline constexpr std::size_t kLeastStamps = 30;

/// FOLDER/CATEGORY/**/*.png, as the drawing program Tux Paint has them; *_mirror.png, the same from the other
/// side, is passed over. Only the categories of at least `least` stamps, in order of their names. Throws
/// UserError where there are fewer than two.
std::vector<StampCategory> list_stamps(const std::filesystem::path& folder, std::size_t least);

/// Each category's stamps in two lists without a common one: a fifth of them, drawn at random but always the
/// same, in the second.
std::pair<std::vector<StampCategory>, std::vector<StampCategory>> split_stamps(
    const std::vector<StampCategory>& categories);

/// One number for the files that a set is made of: SHA-256 over their names and contents.
std::string fingerprint(const std::filesystem::path& folder, const std::vector<StampCategory>& categories);

/// Any picture that decode_picture() reads, of 8 bits; opaque where it has no alpha channel. Throws
/// UserError.
Rgba read_stamp(const std::filesystem::path& file);

/// The part whose alpha is not 0; empty where there is none.
Rgba trimmed(const Rgba& picture);

/// Averaged over areas where it shrinks, else linearly; colours weigh as much as they are opaque. Left and
/// right change places where `flip`.
Rgba scaled(const Rgba& picture, std::int64_t height, std::int64_t width, bool flip);

/// On white.
Rgb flattened(const Rgba& picture);

/// A JPEG of that quality, 0 to 100. Throws Error.
std::string encoded_jpeg(const Rgb& picture, int quality);

}  // namespace refnorm::data
