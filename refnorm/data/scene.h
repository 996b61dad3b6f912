#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <refnorm/data/stamps.h>

namespace refnorm::data {

/// What can be seen of a thing in a scene.
struct SceneObject {
  std::int64_t thing = 0;             ///< the number it was pasted with
  std::vector<std::uint8_t> mask;     ///< [height, width] of the scene, 1 where it is the topmost
  std::int64_t area = 0;              ///< ones in the mask
  std::array<std::int64_t, 4> box{};  ///< of the mask: left, top, width, height
};

/// A picture onto which things are pasted one after the other, in front of those before. A thing covers the
/// pixels at which its alpha is above 1/2; below, it is blended over without a claim.
class Scene {
 public:
  explicit Scene(Rgb background);

  /// Pastes with the top left corner at (x, y), which may lie outside, and returns true; or changes nothing
  /// and returns false, where less than `visible` of what this thing or one before covers (beyond the
  /// picture's edges, too) could then be seen, or fewer than `pixels`.
  bool paste(const Rgba& thing, std::int64_t x, std::int64_t y, std::int64_t number, double visible,
             std::int64_t pixels);

  const Rgb& picture() const { return picture_; }

  /// In the order they were pasted.
  std::vector<SceneObject> objects() const;

 private:
  struct Pasted {
    std::int64_t number, covers, seen;
  };
  /// A square of the thing within the picture: from … to, in the picture's rows and columns.
  struct Window {
    std::int64_t top, bottom, left, right;
  };
  Window window(const Rgba& thing, std::int64_t x, std::int64_t y) const;
  std::int64_t& owner(std::int64_t y, std::int64_t x) {
    return owners_[static_cast<std::size_t>(y * picture_.width + x)];
  }

  Rgb picture_;
  std::vector<std::int64_t> owners_;  ///< of each pixel: index in pasted_; -1: the background
  std::vector<Pasted> pasted_;
};

}  // namespace refnorm::data
