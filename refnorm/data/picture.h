#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace refnorm::data {

/// A picture in memory: values 0 … 1, [height, width, channels] row-major; one channel is grey, three are
/// red, green and blue.
struct Picture {
  std::int64_t height = 0, width = 0, channels = 0;
  std::vector<float> values;
};

/// Reads PNG, JPEG, BMP, PNM, TIFF or WebP, told apart by content, of 8 or 16 bits a value and up to 2^27
/// pixels. Transparent parts become white, as they look on a page; a JPEG is turned upright as its EXIF data
/// ask, and CMYK becomes RGB. The decoders of libjpeg and libpng may write warnings of their own to standard
/// error. Throws UserError of one line naming `origin`: no such format, damaged, truncated (a JPEG without
/// its end-of-image marker, too), or too large.
Picture decode_picture(std::string_view bytes, const std::string& origin);

/// The same of a file. Throws UserError where it is missing, empty, a folder, or cannot be read.
Picture read_picture(const std::filesystem::path& file);

/// The negative: 1 − v.
Picture inverted(Picture picture);

/// What a network takes.
struct PictureFormat {
  std::int64_t channels = 0, height = 0, width = 0;
  std::vector<double> mean, std;  ///< one number a channel
  double centre = 1;  ///< how much is cut out about the middle, of the sides of the largest part that fits
};

/// [channels, height, width] row-major, (v − mean) / std. The largest centred part of the wanted proportions,
/// or `centre` of it, is cut out and resized: averaged over areas where it shrinks, else linearly. Colour
/// becomes grey by 0.299 R + 0.587 G + 0.114 B; grey becomes three equal channels. Throws UserError for a
/// format of other than one or three channels.
std::vector<float> network_values(const Picture& picture, const PictureFormat& format);

}  // namespace refnorm::data
