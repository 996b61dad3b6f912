#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <refnorm/base/instance_mask.h>

namespace refnorm::metrics {

// COCO's evaluation of detections, to the figure that of its own tools (pycocotools' COCOeval): average
// precision over 101 levels of recall and ten thresholds of the intersection over union, and average recall.

/// What is there to be found. `image` and `category` count from 0.
struct TrueObject {
  std::int64_t image = 0, category = 0;
  Xywh box{};
  double area = 0;     ///< of the object itself, which decides whether it is small, medium or large
  bool crowd = false;  ///< a region of many; detections in it count neither as right nor as wrong
  const InstanceMask* mask = nullptr;
};

struct Detection {
  std::int64_t image = 0, category = 0;
  double score = 0;
  Xywh box{};
  const Rle* mask = nullptr;
};

enum class OverlapOf { kBoxes, kMasks };

struct CocoCase {
  struct Size {
    std::int64_t height = 0, width = 0;
  };
  std::vector<Size> images;  ///< only masks need their sizes
  std::int64_t categories = 0;
  /// In the order that decides between equals.
  std::vector<TrueObject> objects;
  std::vector<Detection> detections;
};

struct CocoOptions {
  OverlapOf overlap = OverlapOf::kBoxes;
  /// So many detections of a category in a picture count, those of the highest scores; the largest of these
  /// for all figures but AR1 and AR10. Rising.
  std::array<std::int64_t, 3> most_detections{1, 10, 100};
  std::int64_t threads = 1;
};

/// Names of the twelve figures, in the order of COCO's summary.
inline constexpr std::array<const char*, 12> kCocoFigures{"AP",  "AP50", "AP75",  "APs", "APm", "APl",
                                                          "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};

/// Shares of 1; −1 where there are no such objects.
struct CocoResult {
  std::array<double, 12> figures{};
  std::vector<std::array<double, 12>> by_category;  ///< the same of each category alone
};

/// Boxes' overlap: x, y, width, height; detections' areas are their boxes'. Masks' overlap: areas and boxes
/// of detections are their masks'. Between equal scores, the detection of the earlier picture and then the
/// earlier one counts first. Scores, boxes and areas must be finite, masks of their picture's size and not
/// null where masks are compared.
CocoResult evaluate_coco(const CocoCase& of, const CocoOptions& options);

}  // namespace refnorm::metrics
