#include <algorithm>
#include <cmath>

#include <refnorm/data/picture_look.h>
#include <refnorm/data/picture_loops.h>
#include <refnorm/data/resample.h>
#include <refnorm/data/whole_look.h>

namespace refnorm::data {
namespace {

constexpr std::int64_t kChannels = Pixels::kChannels;

/// A part of one axis of the whole picture, and what of its resized form is wanted.
struct Stretch {
  std::int64_t begin, length;  ///< in the picture
  std::int64_t size;           ///< resized
  std::int64_t first, count;   ///< of it

  /// In a picture of 1/d of the size.
  ResizeAxis reduced(std::int64_t d) const {
    const auto by = static_cast<double>(d);
    return {static_cast<double>(begin) / by, static_cast<double>(length) / by, size, first, count, begin / d,
            (begin + length + d - 1) / d};
  }
};

/// Pixels of a stretch that its wanted ones are made of.
std::pair<std::int64_t, std::int64_t> reached(const Stretch& stretch) {
  const ResizeAxis axis = stretch.reduced(1);
  return {axis.lowest(), axis.highest() - axis.lowest()};
}

/// Of 0 … 255, into the workspace. `margin`: the least number of decoded pixels for one of the result.
void resize(PictureSource& source, const Stretch& rows, const Stretch& columns, std::int64_t margin,
            Workspace& workspace) {
  const auto [top, height] = reached(rows);
  const auto [left, width] = reached(columns);
  PictureSource::Part& part = workspace.part;
  source.decode({top, left, height, width}, margin * rows.count, margin * columns.count, part);
  resample(part.pixels, part.top, part.left, rows.reduced(part.denominator),
           columns.reduced(part.denominator), workspace.line, workspace.picture);
}

/// (v − mean) / deviation of a picture of 0 … `most`.
void write(const std::vector<float>& picture, std::int64_t height, std::int64_t width,
           const PictureLook& look, double most, bool mirrored, const Canvas& out) {
  ColourScale how{};
  for (std::size_t c = 0; c < 3; ++c) {
    how.scale[c] = static_cast<float>(1 / (most * look.deviation[c]));
    how.shift[c] = static_cast<float>(-look.mean[c] / look.deviation[c]);
  }
  for (std::int64_t y = 0; y < height; ++y) {
    write_row(picture.data() + y * width * kChannels, width, how, mirrored, out.plane,
              out.values + y * out.row);
  }
}

void write(const std::vector<float>& picture, const PictureLook& look, double most, bool mirrored,
           float* out) {
  const std::int64_t plane = look.channels_last ? 0 : look.size * look.size;
  write(picture, look.size, look.size, look, most, mirrored,
        {out, look.size * (look.channels_last ? 3 : 1), plane});
}

void erase(const Box& box, const PictureLook& look, float* out) {
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = box.top; y < box.top + box.height; ++y) {
      for (std::int64_t x = box.left; x < box.left + box.width; ++x) {
        const std::int64_t pixel = y * look.size + x;
        out[look.channels_last ? pixel * 3 + c : c * look.size * look.size + pixel] = 0;
      }
    }
  }
}

}  // namespace

void write_training_look(PictureSource& source, const PictureLook& look, const Augmentation& how,
                         RandomStream& random, Workspace& workspace, float* out) {
  const Box crop = draw_crop(source.height(), source.width(), how, random);
  const bool flip = how.flip > 0 && random.uniform() < how.flip;
  resize(source, {crop.top, crop.height, look.size, 0, look.size},
         {crop.left, crop.width, look.size, 0, look.size}, /*margin=*/1, workspace);
  double most = 255;
  if (how.brightness > 0 || how.contrast > 0 || how.saturation > 0 || how.hue > 0) {
    for (float& value : workspace.picture) value *= 1.0F / 255;
    jitter_colours(workspace.picture, how, random);
    most = 1;
  }
  write(workspace.picture, look, most, flip, out);
  if (const Box erased = draw_erased(look.size, look.size, how, random); erased.height > 0)
    erase(erased, look, out);
}

void write_evaluation_look(PictureSource& source, const PictureLook& look, Workspace& workspace, float* out) {
  const std::int64_t shorter = std::min(source.height(), source.width());
  const auto stretch = [&](std::int64_t length) {
    // As torchvision rounds: the longer side down, the place of the centre to the nearest even number.
    const std::int64_t size = look.resize * length / shorter;
    const auto first = static_cast<std::int64_t>(std::nearbyint(static_cast<double>(size - look.size) / 2));
    return Stretch{0, length, size, first, look.size};
  };
  resize(source, stretch(source.height()), stretch(source.width()), /*margin=*/2, workspace);
  write(workspace.picture, look, 255, /*mirrored=*/false, out);
}

void write_whole_look(PictureSource& source, std::int64_t height, std::int64_t width, bool mirrored,
                      std::int64_t margin, const PictureLook& look, Workspace& workspace, const Canvas& out) {
  resize(source, {0, source.height(), height, 0, height}, {0, source.width(), width, 0, width}, margin,
         workspace);
  write(workspace.picture, height, width, look, 255, mirrored, out);
}

}  // namespace refnorm::data
