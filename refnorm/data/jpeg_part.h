#pragma once

#include <cstdint>
#include <string_view>

#include <refnorm/data/pixels.h>

namespace refnorm::data {

/// Decodes a part of a JPEG of one or three components at 1/`denominator` (1, 2, 4 or 8) of its size, in
/// which it has ceil(height / denominator) rows and ceil(width / denominator) columns. `part` is of these, as
/// stored: EXIF orientation is not looked at. The same values as decoding all of it gives, for less: what
/// lies below is not even read, and of what lies above and beside, only the entropy code.
///
/// Damage within the scans goes unseen, as in every decoder: libjpeg fills with grey. Returns false where
/// nothing can be decoded. Requires a part that is not empty and within the picture.
bool decode_jpeg_part(std::string_view bytes, std::int64_t denominator, const Box& part, Pixels& out);

}  // namespace refnorm::data
