#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <refnorm/base/rle.h>

namespace refnorm::data {

/// A detection in COCO's results format, with a box, a mask or both.
struct CocoDetection {
  std::int64_t image_id = 0, category_id = 0;
  double score = 0;
  std::optional<Xywh> box;
  std::optional<Rle> mask;
};

/// Throws UserError that names the file and the detection, counted from 1: a key missing, twice or of another
/// type, neither 'bbox' nor 'segmentation' or not the same of them in all, negative sizes, a damaged RLE.
std::vector<CocoDetection> read_coco_results(const std::filesystem::path& file);
std::vector<CocoDetection> parse_coco_results(std::string_view text, const std::string& origin);

/// RLEs are compressed, numbers are as short as they can be without changing. Throws Error where one is not
/// finite: JSON has no such.
std::string coco_results_text(const std::vector<CocoDetection>& detections);
void write_coco_results(const std::filesystem::path& file, const std::vector<CocoDetection>& detections);

}  // namespace refnorm::data
