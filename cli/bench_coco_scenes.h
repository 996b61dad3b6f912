#pragma once

#include <cstdint>
#include <filesystem>

namespace refnorm::cli {

/// Generated annotations and detections with COCO's sizes and shapes: 80 categories of very different
/// frequency, objects of 5 to 150 pixels, polygons of about 25 corners, a crowd in a hundred objects, and
/// detections near the objects. Always the same for the same numbers.
struct CocoScenes {
  std::int64_t pictures = 5000, objects = 36'000, detections = 250'000;
};

/// Writes instances.json and, where there are detections, detections.json. Holds a picture at a time.
void write_coco_scenes(const CocoScenes& scenes, const std::filesystem::path& folder);

}  // namespace refnorm::cli
