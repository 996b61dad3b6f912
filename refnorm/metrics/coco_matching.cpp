#include <algorithm>

#include <refnorm/metrics/coco_matching.h>

namespace refnorm::metrics {
namespace {

/// An object that a detection may be given, and by how much they overlap.
struct Candidate {
  std::size_t object;
  double iou;
};

/// No threshold is lower, so that smaller overlaps need not be known.
constexpr double kLeastIou = 0.5;

double box_area(const Xywh& box) {
  return box[2] * box[3];
}

/// What both masks can have in common at most, by their boxes and areas.
bool may_match(const MaskRuns& detection, const MaskRuns& object, bool crowd) {
  const Xywh& a = detection.box;
  const Xywh& b = object.box;
  const double width = std::min(a[0] + a[2], b[0] + b[2]) - std::max(a[0], b[0]);
  const double height = std::min(a[1] + a[3], b[1] + b[3]) - std::max(a[1], b[1]);
  if (width <= 0 || height <= 0) return false;
  const auto area = static_cast<double>(detection.area);
  const auto other = static_cast<double>(object.area);
  const double most = std::min({width * height, area, other});
  return most >= kLeastIou * (crowd ? area : area + other - most);
}

class Matching {
 public:
  Matching(const Group& group, OverlapOf overlap, std::span<Verdict> verdicts)
      : group_(group), verdicts_(verdicts), candidates_(group.detections.size()) {
    if (overlap == OverlapOf::kBoxes)
      compare_boxes();
    else
      compare_masks();
  }

  void decide() {
    for (int area = 0; area < kAreas; ++area) decide(area);
  }

 private:
  void compare_boxes() {
    for (std::size_t d = 0; d < group_.detections.size(); ++d) {
      const Xywh& box = group_.detections[d]->box;
      areas_.push_back(box_area(box));
      for (std::size_t i = 0; i < group_.objects.size(); ++i)
        add(d, i, box_iou(box, group_.objects[i]->box, group_.objects[i]->crowd));
    }
  }

  void compare_masks() {
    std::vector<MaskRuns> objects;
    if (!group_.detections.empty()) {
      for (const TrueObject* object : group_.objects)
        objects.push_back(mask_runs(instance_rle(*object->mask, group_.size.height, group_.size.width)));
    }
    for (std::size_t d = 0; d < group_.detections.size(); ++d) {
      if (objects.empty()) {
        areas_.push_back(static_cast<double>(mask_area(*group_.detections[d]->mask)));
        continue;
      }
      const MaskRuns mask = mask_runs(*group_.detections[d]->mask);
      areas_.push_back(static_cast<double>(mask.area));
      for (std::size_t i = 0; i < objects.size(); ++i) {
        const bool crowd = group_.objects[i]->crowd;
        if (may_match(mask, objects[i], crowd)) add(d, i, mask_iou(mask, objects[i], crowd));
      }
    }
  }

  void add(std::size_t detection, std::size_t object, double iou) {
    if (iou >= kLeastIou) candidates_[detection].push_back({object, iou});
  }

  void decide(int area) {
    static const std::array<double, kThresholds> thresholds = iou_thresholds();
    const auto& [from, to] = kAreaRanges[static_cast<std::size_t>(area)];
    taken_.assign(group_.objects.size(), 0);
    ignored_.clear();
    for (const TrueObject* object : group_.objects) ignored_.push_back(counts(*object, area) ? 0 : 1);
    for (std::size_t d = 0; d < group_.detections.size(); ++d) {
      std::vector<Candidate>& candidates = candidates_[d];
      const bool outside = areas_[d] < from || areas_[d] > to;
      std::uint16_t matched = 0;
      std::uint16_t ignored = outside ? (1U << kThresholds) - 1 : 0;
      if (!candidates.empty()) {
        order(candidates);
        for (int t = 0; t < kThresholds; ++t) {
          const Candidate* best = choose(candidates, thresholds[static_cast<std::size_t>(t)], t);
          if (best == nullptr) continue;
          const auto bit = static_cast<std::uint16_t>(1U << t);
          matched |= bit;
          ignored = static_cast<std::uint16_t>(ignored_[best->object] != 0 ? ignored | bit : ignored & ~bit);
          taken_[best->object] |= bit;
        }
      }
      verdicts_[d].matched[static_cast<std::size_t>(area)] = matched;
      verdicts_[d].ignored[static_cast<std::size_t>(area)] = ignored;
    }
  }

  /// Objects that count come first, each kind in the order of objects.
  void order(std::vector<Candidate>& candidates) const {
    if (candidates.size() < 2) return;
    std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
      return ignored_[a.object] != ignored_[b.object] ? ignored_[a.object] < ignored_[b.object]
                                                      : a.object < b.object;
    });
  }

  /// Of equal overlaps the last counts. One that is ignored does not take the place of one that counts.
  const Candidate* choose(const std::vector<Candidate>& candidates, double threshold, int t) const {
    const Candidate* best = nullptr;
    double least = std::min(threshold, 1 - 1e-10);
    for (const Candidate& one : candidates) {
      if ((taken_[one.object] >> t & 1U) != 0 && !group_.objects[one.object]->crowd) continue;
      if (best != nullptr && ignored_[best->object] == 0 && ignored_[one.object] != 0) break;
      if (one.iou < least) continue;
      least = one.iou;
      best = &one;
    }
    return best;
  }

  const Group& group_;
  std::span<Verdict> verdicts_;
  std::vector<double> areas_;  ///< of detections
  std::vector<std::vector<Candidate>> candidates_;
  std::vector<std::uint16_t> taken_;  ///< of objects: a bit for each threshold
  std::vector<std::uint8_t> ignored_;
};

}  // namespace

std::array<double, kThresholds> iou_thresholds() {
  std::array<double, kThresholds> all{};
  constexpr double kFirst = 0.5, kLast = 0.95;
  for (int i = 0; i < kThresholds; ++i)
    all[static_cast<std::size_t>(i)] = kFirst + i * ((kLast - kFirst) / (kThresholds - 1));
  all.back() = kLast;
  return all;
}

void match(const Group& group, OverlapOf overlap, std::span<Verdict> verdicts) {
  Matching(group, overlap, verdicts).decide();
}

}  // namespace refnorm::metrics
