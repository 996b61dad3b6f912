#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/base/rle.h>

namespace refnorm {

std::int64_t intersection(const MaskRuns& a, const MaskRuns& b) {
  if (a.height != b.height || a.width != b.width)
    fail("masks of {} x {} and {} x {} pixels cannot be compared", a.height, a.width, b.height, b.width);
  if (a.runs.empty() || b.runs.empty()) return 0;
  const auto ends_by = [](const std::pair<std::uint32_t, std::uint32_t>& run, std::uint32_t place) {
    return run.second <= place;
  };
  // What lies before the other one's first run is passed over.
  auto from_a = std::lower_bound(a.runs.begin(), a.runs.end(), b.runs.front().first, ends_by);
  auto from_b = std::lower_bound(b.runs.begin(), b.runs.end(), a.runs.front().first, ends_by);
  std::int64_t common = 0;
  while (from_a != a.runs.end() && from_b != b.runs.end()) {
    const std::uint32_t begin = std::max(from_a->first, from_b->first);
    const std::uint32_t end = std::min(from_a->second, from_b->second);
    common += end > begin ? end - begin : 0;
    if (from_a->second < from_b->second) {
      ++from_a;
    } else {
      ++from_b;
    }
  }
  return common;
}

double box_iou(const Xywh& detection, const Xywh& object, bool crowd) {
  const double width =
      std::min(detection[2] + detection[0], object[2] + object[0]) - std::max(detection[0], object[0]);
  const double height =
      std::min(detection[3] + detection[1], object[3] + object[1]) - std::max(detection[1], object[1]);
  if (width <= 0 || height <= 0) return 0;
  const double common = width * height;
  const double area = detection[2] * detection[3];
  return common / (crowd ? area : area + object[2] * object[3] - common);
}

double mask_iou(const MaskRuns& detection, const MaskRuns& object, bool crowd) {
  if (box_iou(detection.box, object.box, crowd) <= 0) return 0;
  const std::int64_t common = intersection(detection, object);
  if (common == 0) return 0;
  return static_cast<double>(common) /
         static_cast<double>(crowd ? detection.area : detection.area + object.area - common);
}

std::vector<double> box_ious(std::span<const Xywh> detections, std::span<const Xywh> objects,
                             std::span<const std::uint8_t> crowd) {
  std::vector<double> all;
  all.reserve(detections.size() * objects.size());
  for (const Xywh& detection : detections) {
    for (std::size_t i = 0; i < objects.size(); ++i)
      all.push_back(box_iou(detection, objects[i], crowd[i] != 0));
  }
  return all;
}

std::vector<double> mask_ious(std::span<const Rle> detections, std::span<const Rle> objects,
                              std::span<const std::uint8_t> crowd) {
  std::vector<MaskRuns> ready;
  ready.reserve(objects.size());
  for (const Rle& object : objects) ready.push_back(mask_runs(object));
  std::vector<double> all;
  all.reserve(detections.size() * objects.size());
  for (const Rle& detection : detections) {
    const MaskRuns runs = mask_runs(detection);
    for (std::size_t i = 0; i < ready.size(); ++i) all.push_back(mask_iou(runs, ready[i], crowd[i] != 0));
  }
  return all;
}

}  // namespace refnorm
