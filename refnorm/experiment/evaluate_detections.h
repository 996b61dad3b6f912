#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/data/coco_instances.h>
#include <refnorm/data/coco_results.h>
#include <refnorm/metrics/coco.h>

namespace refnorm::experiment {

/// What errors call the two.
struct DetectionOrigins {
  std::string annotations = "annotations", detections = "detections";
};

/// COCO's evaluation (refnorm/metrics/coco.h) of what detectors wrote. Detections of categories that the
/// annotations do not have are left out, as COCO's tools leave them out.
///
/// Throws UserError naming the origin and the detection, counted from 1, where its image is not in the
/// annotations or its mask is of another size than the image; and, for masks, where an object has none.
metrics::CocoResult evaluate_detections(const data::CocoInstances& truth,
                                        const std::vector<data::CocoDetection>& detections,
                                        const metrics::CocoOptions& options, const DetectionOrigins& origins);

struct DetectionEvaluation {
  std::filesystem::path annotations, detections;
  std::int64_t threads = 1;
  bool by_category = false;
};

/// {"annotations", "detections", "images", "objects", "crowds", "detections_read", "detections_left_out",
/// "bbox": {"AP": …, …, "categories": [{"id", "name", "AP": …}, …]}, "segm": {…}}: "bbox", "segm" or both, as
/// the detections have boxes and masks. Figures are shares of 1, and −1 where there is nothing. Throws
/// UserError for files that cannot be read or contradict themselves or each other.
Json evaluate_detection_files(const DetectionEvaluation& request);

/// As people read it, from that document: percent, and a dash where there is nothing.
std::string detection_figures_text(const Json& evaluation);

}  // namespace refnorm::experiment
