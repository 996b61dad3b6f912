#pragma once

#include <cstdint>
#include <vector>

#include <refnorm/data/pixels.h>

namespace refnorm::data {

/// How one axis of a picture is resized: which source pixels each output pixel averages.
///
/// Bilinear with antialiasing, as Pillow and torchvision resize: with s = length / size source pixels an
/// output pixel, output i lies at begin + (i + 1/2) s, and weighs the source pixels around it by a triangle
/// that reaches max(s, 1) to either side. What reaches beyond the source is left out, and weights add up
/// to 1.
class ResizeAxis {
 public:
  /// The part `begin` … `begin + length` of a source, resized to `size` pixels, of which `count` from `first`
  /// on are wanted. Source pixels below `lowest` and from `highest` on do not exist.
  ResizeAxis(double begin, double length, std::int64_t size, std::int64_t first, std::int64_t count,
             std::int64_t lowest, std::int64_t highest);

  struct Taps {
    std::int64_t from = 0;  ///< the first source pixel
    std::int64_t count = 0;
    const float* weights = nullptr;
  };
  Taps operator[](std::int64_t i) const {
    const auto place = static_cast<std::size_t>(i);
    return {from_[place], counts_[place], weights_.data() + starts_[place]};
  }
  std::int64_t size() const { return static_cast<std::int64_t>(from_.size()); }
  /// Source pixels that are looked at, from the lowest to one past the highest.
  std::int64_t lowest() const { return from_.front(); }
  std::int64_t highest() const { return from_.back() + counts_.back(); }

 private:
  std::vector<std::int64_t> from_, counts_;
  std::vector<std::size_t> starts_;
  std::vector<float> weights_;
};

/// [rows.size(), columns.size(), 4] values of 0 … 255 of pixels whose first row and column are the source's
/// `top` and `left`. `out` is made as large as it takes; `line` is memory to work in.
void resample(const Pixels& pixels, std::int64_t top, std::int64_t left, const ResizeAxis& rows,
              const ResizeAxis& columns, std::vector<float>& line, std::vector<float>& out);

}  // namespace refnorm::data
