#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <refnorm/kernels/boxes.h>

namespace refnorm::kernels {
namespace {

template <class T>
T area(const T* box) {
  return (box[2] - box[0]) * (box[3] - box[1]);
}

/// Of the common part of two boxes; 0 where there is none.
template <class T>
T common_area(const T* a, const T* b) {
  const T width = std::min(a[2], b[2]) - std::max(a[0], b[0]);
  const T height = std::min(a[3], b[3]) - std::max(a[1], b[1]);
  return width > 0 && height > 0 ? width * height : T{0};
}

bool finite_box(const float* box) {
  return std::all_of(box, box + 4, [](float value) { return std::isfinite(value); });
}

/// Kept boxes of a group, coordinate by coordinate.
class Kept {
 public:
  /// Whether one of them overlaps the box by an IoU above `threshold`.
  bool covers(const float* box, float threshold) const {
    const float own = area(box);
    std::size_t i = 0;
    for (; i + kBlock <= left_.size(); i += kBlock) {
      if (block_covers(i, kBlock, box, own, threshold)) return true;
    }
    return block_covers(i, left_.size() - i, box, own, threshold);
  }
  void add(const float* box) {
    left_.push_back(box[0]);
    top_.push_back(box[1]);
    right_.push_back(box[2]);
    bottom_.push_back(box[3]);
    area_.push_back(area(box));
  }

 private:
  static constexpr std::size_t kBlock = 32;

  /// Without a branch a box, so that the compiler uses vectors.
  bool block_covers(std::size_t first, std::size_t count, const float* box, float own,
                    float threshold) const {
    int found = 0;
    for (std::size_t i = first; i < first + count; ++i) {
      const float width = std::min(right_[i], box[2]) - std::max(left_[i], box[0]);
      const float height = std::min(bottom_[i], box[3]) - std::max(top_[i], box[1]);
      const float both = std::max(width, 0.0F) * std::max(height, 0.0F);
      found |= static_cast<int>(both / (area_[i] + own - both) > threshold);
    }
    return found != 0;
  }

  std::vector<float> left_, top_, right_, bottom_, area_;
};

/// For a float x: x > floor_float(t) exactly where x > t.
float floor_float(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) > value ? std::nextafter(rounded, -HUGE_VALF) : rounded;
}

}  // namespace

template <class T>
void box_ious(const T* a, std::int64_t count_a, const T* b, std::int64_t count_b, bool over_first, T* ious) {
  for (std::int64_t i = 0; i < count_a; ++i) {
    const T own = area(a + 4 * i);
    for (std::int64_t j = 0; j < count_b; ++j) {
      const T both = common_area(a + 4 * i, b + 4 * j);
      const T whole = over_first ? own : own + area(b + 4 * j) - both;
      ious[i * count_b + j] = both > 0 && whole > 0 ? both / whole : T{0};
    }
  }
}

std::vector<std::int64_t> highest(const float* scores, std::int64_t count, std::int64_t most) {
  std::vector<std::int64_t> order;
  order.reserve(count);
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isfinite(scores[i])) order.push_back(i);
  }
  const auto before = [scores](std::int64_t i, std::int64_t j) {
    return scores[i] != scores[j] ? scores[i] > scores[j] : i < j;
  };
  const auto wanted = std::min<std::int64_t>(most, static_cast<std::int64_t>(order.size()));
  if (wanted < static_cast<std::int64_t>(order.size())) {
    std::nth_element(order.begin(), order.begin() + wanted, order.end(), before);
    order.resize(wanted);
  }
  std::sort(order.begin(), order.end(), before);
  return order;
}

std::vector<std::int64_t> suppress(const float* boxes, const float* scores, const std::int64_t* groups,
                                   std::int64_t count, double threshold, std::int64_t most) {
  const float limit = floor_float(threshold);
  std::map<std::int64_t, Kept> kept;
  std::vector<std::int64_t> chosen;
  for (const std::int64_t i : highest(scores, count, count)) {
    if (static_cast<std::int64_t>(chosen.size()) >= most) break;
    const float* box = boxes + 4 * i;
    if (!finite_box(box)) continue;
    Kept& group = kept[groups == nullptr ? 0 : groups[i]];
    if (group.covers(box, limit)) continue;
    group.add(box);
    chosen.push_back(i);
  }
  return chosen;
}

template <class T>
std::vector<std::int64_t> match_boxes(const T* ious, std::int64_t boxes, std::int64_t truths,
                                      const MatchThresholds& thresholds) {
  std::vector<std::int64_t> matched(boxes, kBackground);
  if (truths == 0) return matched;
  std::vector<T> best(truths, T{0});
  for (std::int64_t i = 0; i < boxes; ++i) {
    const T* row = ious + i * truths;
    const std::int64_t first = std::max_element(row, row + truths) - row;
    if (row[first] >= thresholds.high)
      matched[i] = first;
    else if (row[first] >= thresholds.low)
      matched[i] = kBetween;
    for (std::int64_t j = 0; j < truths; ++j) best[j] = std::max(best[j], row[j]);
  }
  if (!thresholds.allow_low_quality) return matched;
  for (std::int64_t i = 0; i < boxes; ++i) {
    const T* row = ious + i * truths;
    if (matched[i] >= 0) continue;
    for (std::int64_t j = 0; j < truths; ++j) {
      if (row[j] > 0 && row[j] == best[j]) matched[i] = std::max_element(row, row + truths) - row;
    }
  }
  return matched;
}

namespace {

/// Where the pixels of one axis lie in a mask: pixel first + i between its values low[i] and low[i] + 1,
/// which may lie just outside.
struct MaskAxis {
  MaskAxis(float from, float to, std::int64_t side, std::int64_t pixels) {
    const double cell = (static_cast<double>(to) - from) / static_cast<double>(side);
    const auto position = [&](std::int64_t pixel) {
      return (static_cast<double>(pixel) + 0.5 - from) / cell - 0.5;
    };
    const auto within = [&](double edge) {  // as a pixel, whatever its size
      return static_cast<std::int64_t>(std::clamp(edge, 0.0, static_cast<double>(pixels)));
    };
    first = within(std::floor(from - cell));
    const std::int64_t last = within(std::ceil(to + cell) + 1);
    for (std::int64_t pixel = first; pixel < last; ++pixel) {
      const double place = std::clamp(position(pixel), -1.0, static_cast<double>(side));
      const double below = std::min(std::floor(place), static_cast<double>(side) - 1);
      low.push_back(static_cast<std::int64_t>(below));
      share.push_back(static_cast<float>(place - below));
    }
  }
  std::int64_t first = 0;
  std::vector<std::int64_t> low;
  std::vector<float> share;
};

}  // namespace

void paste_mask(const float* mask, std::int64_t side, const float* box, double threshold, std::int64_t height,
                std::int64_t width, std::uint8_t* picture) {
  std::fill_n(picture, height * width, std::uint8_t{0});
  if (!finite_box(box) || !(box[2] > box[0]) || !(box[3] > box[1])) return;
  const MaskAxis columns(box[0], box[2], side, width);
  const MaskAxis rows(box[1], box[3], side, height);
  // A zero on each side: value u of the mask is row[u + 1].
  std::vector<float> row(side + 2, 0.0F);
  const auto value = [&](std::int64_t r, std::int64_t c) {
    return r >= 0 && r < side ? mask[r * side + c] : 0.0F;
  };
  for (std::size_t i = 0; i < rows.low.size(); ++i) {
    for (std::int64_t c = 0; c < side; ++c) {
      const float upper = value(rows.low[i], c);
      row[c + 1] = upper + rows.share[i] * (value(rows.low[i] + 1, c) - upper);
    }
    std::uint8_t* line = picture + (rows.first + static_cast<std::int64_t>(i)) * width + columns.first;
    for (std::size_t j = 0; j < columns.low.size(); ++j) {
      const float left = row[columns.low[j] + 1];
      const float right = row[columns.low[j] + 2];
      line[j] = left + columns.share[j] * (right - left) >= static_cast<float>(threshold) ? 1 : 0;
    }
  }
}

template void box_ious(const float*, std::int64_t, const float*, std::int64_t, bool, float*);
template void box_ious(const double*, std::int64_t, const double*, std::int64_t, bool, double*);
template std::vector<std::int64_t> match_boxes(const float*, std::int64_t, std::int64_t,
                                               const MatchThresholds&);
template std::vector<std::int64_t> match_boxes(const double*, std::int64_t, std::int64_t,
                                               const MatchThresholds&);

}  // namespace refnorm::kernels
