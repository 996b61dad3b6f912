#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <refnorm/metrics/coco.h>

namespace refnorm::metrics {

/// Of the intersection over union: 0.5, 0.55 … 0.95, as COCO's tools compute them.
constexpr int kThresholds = 10;
std::array<double, kThresholds> iou_thresholds();

/// All objects, small, medium and large ones: from … to, both included.
constexpr int kAreas = 4;
constexpr std::array<std::array<double, 2>, kAreas> kAreaRanges{
    {{0, 1e5 * 1e5}, {0, 32.0 * 32}, {32.0 * 32, 96.0 * 96}, {96.0 * 96, 1e5 * 1e5}}};

/// What became of a detection: a bit for each threshold, for each range of areas.
struct Verdict {
  std::array<std::uint16_t, kAreas> matched{};  ///< with an object
  std::array<std::uint16_t, kAreas> ignored{};  ///< counts neither as right nor as wrong
};

/// The detections and objects of one category in one picture.
struct Group {
  CocoCase::Size size;
  std::vector<const Detection*> detections;  ///< by falling score
  std::vector<const TrueObject*> objects;
};

/// Gives each detection, in order, the free object that it overlaps most, if by at least the threshold.
/// `verdicts` has one for each detection.
void match(const Group& group, OverlapOf overlap, std::span<Verdict> verdicts);

/// Whether an object counts for a range of areas.
inline bool counts(const TrueObject& object, int area) {
  const auto& [from, to] = kAreaRanges[static_cast<std::size_t>(area)];
  return !object.crowd && object.area >= from && object.area <= to;
}

}  // namespace refnorm::metrics
