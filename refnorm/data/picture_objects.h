#pragma once

#include <string>
#include <vector>

#include <refnorm/base/rle.h>
#include <refnorm/data/picture.h>

namespace refnorm::data {

/// What is drawn over a picture.
struct DrawnObject {
  Xywh box{};
  const Rle* mask = nullptr;  ///< of the picture's size; null: the box alone
  std::string label;          ///< such as "cat 0.98"
  std::size_t colour = 0;     ///< objects of one number have one colour
  /// Grey instead, with a thin frame and the label at its lower edge.
  bool truth = false;
};

/// The picture as a PNG file's bytes, with boxes, masks (their colour over half of the picture's, with an
/// outline) and labels, the last object uppermost. Pictures whose shorter side is below 224 pixels are
/// enlarged by a whole factor. Characters outside ASCII become '?', since the font has no others.
std::string objects_png(const Picture& picture, const std::vector<DrawnObject>& objects);

}  // namespace refnorm::data
