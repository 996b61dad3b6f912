#pragma once

#include <cstdint>
#include <filesystem>

#include <refnorm/base/json.h>

namespace refnorm::data {

/// How a set of scenes is drawn.
struct SceneSetOptions {
  std::int64_t seed = 1;
  std::int64_t train = 1500, val = 200;  ///< pictures
  std::int64_t side = 320;               ///< the largest width; widths are 0.8 to 1 of it, heights 0.6 to 0.8
  bool held_out = false;                 ///< val shows stamps that train does not
};

/// Draws scenes of stamps in COCO's format: TO/train/*.jpg, TO/val/*.jpg, and their objects in
/// TO/annotations/instances_train.json and instances_val.json. Categories are those of 30 stamps or more. One
/// to six stamps of random categories, sizes and places lie in a picture, each as it is or turned from left
/// to right, in front of one another and beyond the edges; at least two fifths of each can be seen. Masks
/// are what can be seen of the parts whose alpha is above 1/2, exactly, as run lengths; area and box are the
/// masks'. The same options and stamps make the same files. Returns the numbers of pictures and objects, and
/// the stamps' fingerprint. Throws UserError for options and folders that do not fit, Error where a stop is
/// asked for.
Json write_scene_set(const std::filesystem::path& stamps, const std::filesystem::path& to,
                     const SceneSetOptions& options);

}  // namespace refnorm::data
