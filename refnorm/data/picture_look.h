#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <refnorm/base/random.h>
#include <refnorm/data/augmentation.h>
#include <refnorm/data/picture_source.h>

namespace refnorm::data {

/// What a network sees of a picture: three colours, a square, (v − mean) / deviation of values 0 … 1.
struct PictureLook {
  std::int64_t size = 224;    ///< rows and columns
  std::int64_t resize = 256;  ///< evaluation: the shorter side before the centre is cut out; at least `size`
  std::array<double, 3> mean{0.485, 0.456, 0.406};  ///< ImageNet's, as nearly everyone has them
  std::array<double, 3> deviation{0.229, 0.224, 0.225};
  bool channels_last = false;  ///< values are [size, size, 3] in memory, else [3, size, size]

  std::int64_t values() const { return 3 * size * size; }
};

/// Memory that making one sample after the other need not ask for again.
struct Workspace {
  PictureSource::Part part;
  std::vector<float> line, picture;
};

/// As training sees it: a random crop, resized; flipped, its colours changed, a part erased to 0. All is
/// drawn from `random`. Writes look.values() numbers. A JPEG is reduced while decoding as long as the crop
/// stays at least as large as the result.
void write_training_look(PictureSource& source, const PictureLook& look, const Augmentation& how,
                         RandomStream& random, Workspace& workspace, float* out);

/// As evaluation sees it: the shorter side resized to look.resize, the centre cut out. A JPEG is reduced
/// while decoding as long as it stays at least twice as large as the result, which changes pixels by less
/// than a level or two of 255.
void write_evaluation_look(PictureSource& source, const PictureLook& look, Workspace& workspace, float* out);

}  // namespace refnorm::data
