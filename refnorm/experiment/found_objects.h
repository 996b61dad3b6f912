#pragma once

#include <cstdint>
#include <vector>

#include <refnorm/data/coco_results.h>
#include <refnorm/data/detection_set.h>
#include <refnorm/models/mask_rcnn/target.h>

namespace refnorm::experiment {

/// A picture as a network saw it, and as it lies in its file.
struct SeenPicture {
  data::PictureSize original, seen;
  std::int64_t image_id = 0;
};

/// What was found in a picture, in the coordinates of its file: boxes cut off at its border, masks of its
/// size. `category_ids` are those of the labels 1, 2, ….
std::vector<data::CocoDetection> in_file(const models::Detections& found, const SeenPicture& picture,
                                         const std::vector<std::int64_t>& category_ids);

std::vector<std::int64_t> category_ids(const data::DetectionSet& set);

}  // namespace refnorm::experiment
