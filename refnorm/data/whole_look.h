#pragma once

#include <cstdint>

#include <refnorm/data/picture_look.h>

namespace refnorm::data {

/// Where a picture of its own proportions goes in a batch whose pictures differ in size: from one row to the
/// next and from one colour to the next it is so many values; `plane` 0: a pixel's colours stand together.
struct Canvas {
  float* values = nullptr;
  std::int64_t row = 0, plane = 0;
};

/// All of it, resized to height x width pixels, perhaps mirrored; (v − mean) / deviation by `look`. `margin`:
/// a JPEG is reduced while decoding as long as it stays at least so many times as large as the result.
void write_whole_look(PictureSource& source, std::int64_t height, std::int64_t width, bool mirrored,
                      std::int64_t margin, const PictureLook& look, Workspace& workspace, const Canvas& out);

}  // namespace refnorm::data
