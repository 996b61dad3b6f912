#include <algorithm>
#include <numeric>

#include <refnorm/base/share_out.h>
#include <refnorm/metrics/coco.h>
#include <refnorm/metrics/coco_matching.h>

namespace refnorm::metrics {
namespace {

constexpr int kLevels = 101;  // of recall: 0, 0.01 … 1
constexpr double kNothing = -1;

/// Places in `items` by category, then by picture, then as they stand.
template <class Item>
std::vector<std::size_t> by_category_and_image(const std::vector<Item>& items, const CocoCase& of) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto sort_by = [&](std::size_t values, std::int64_t Item::*key) {
    std::vector<std::size_t> begins(values + 1);
    for (const Item& item : items) ++begins[static_cast<std::size_t>(item.*key) + 1];
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    std::vector<std::size_t> sorted(order.size());
    for (const std::size_t place : order)
      sorted[begins[static_cast<std::size_t>(items[place].*key)]++] = place;
    order = std::move(sorted);
  };
  sort_by(of.images.size(), &Item::image);
  sort_by(static_cast<std::size_t>(of.categories), &Item::category);
  return order;
}

/// A detection that counts, with its rank among those of its category in its picture.
struct Judged {
  double score = 0;
  std::int64_t rank = 0;
  Verdict verdict;
};

struct CategoryWork {
  std::array<std::int64_t, kAreas> objects{};  ///< that count
  std::vector<Judged> detections;              ///< by picture, then by falling score
};

/// Places of one category and picture in the sorted detections and objects, and of its detections among the
/// judged ones of the category.
struct GroupPlace {
  std::size_t category = 0, image = 0;
  std::size_t first_detection = 0, last_detection = 0, first_object = 0, last_object = 0;
  std::size_t judged = 0;
};

class Evaluation {
 public:
  Evaluation(const CocoCase& of, const CocoOptions& options)
      : of_(of),
        options_(options),
        detections_(by_category_and_image(of.detections, of)),
        objects_(by_category_and_image(of.objects, of)),
        categories_(static_cast<std::size_t>(of.categories)) {
    find_groups();
  }

  CocoResult result() {
    constexpr std::int64_t kGroupsAtOnce = 16;
    share_out(
        static_cast<std::int64_t>(groups_.size()), options_.threads,
        [&](std::int64_t i) { judge(groups_[static_cast<std::size_t>(i)]); }, kGroupsAtOnce);
    CocoResult result;
    result.by_category.resize(categories_.size());
    share_out(of_.categories, options_.threads, [&](std::int64_t i) {
      const auto place = static_cast<std::size_t>(i);
      result.by_category[place] = figures(categories_[place]);
    });
    for (std::size_t i = 0; i < result.figures.size(); ++i) {
      double sum = 0;
      std::int64_t with_objects = 0;
      for (const auto& one : result.by_category) {
        if (one[i] == kNothing) continue;
        sum += one[i];
        ++with_objects;
      }
      result.figures[i] = with_objects > 0 ? sum / static_cast<double>(with_objects) : kNothing;
    }
    return result;
  }

 private:
  std::size_t most() const { return static_cast<std::size_t>(options_.most_detections.back()); }

  void find_groups() {
    std::size_t d = 0;
    std::size_t o = 0;
    const auto key = [](const auto& item) { return std::pair(item.category, item.image); };
    while (d < detections_.size() || o < objects_.size()) {
      auto next = std::pair(of_.categories, std::int64_t{0});
      if (d < detections_.size()) next = std::min(next, key(of_.detections[detections_[d]]));
      if (o < objects_.size()) next = std::min(next, key(of_.objects[objects_[o]]));
      GroupPlace group{
          static_cast<std::size_t>(next.first), static_cast<std::size_t>(next.second), d, d, o, o};
      CategoryWork& category = categories_[group.category];
      while (d < detections_.size() && key(of_.detections[detections_[d]]) == next) ++d;
      for (; o < objects_.size() && key(of_.objects[objects_[o]]) == next; ++o) {
        for (int area = 0; area < kAreas; ++area)
          category.objects[static_cast<std::size_t>(area)] += counts(of_.objects[objects_[o]], area) ? 1 : 0;
      }
      group.last_detection = d;
      group.last_object = o;
      group.judged = category.detections.size();
      if (d == group.first_detection) continue;  // nothing to be judged
      category.detections.resize(group.judged + std::min(d - group.first_detection, most()));
      groups_.push_back(group);
    }
  }

  void judge(const GroupPlace& place) {
    Group group{of_.images[place.image], {}, {}};
    for (std::size_t i = place.first_detection; i < place.last_detection; ++i)
      group.detections.push_back(&of_.detections[detections_[i]]);
    std::stable_sort(group.detections.begin(), group.detections.end(),
                     [](const Detection* a, const Detection* b) { return a->score > b->score; });
    if (group.detections.size() > most()) group.detections.resize(most());
    for (std::size_t i = place.first_object; i < place.last_object; ++i)
      group.objects.push_back(&of_.objects[objects_[i]]);
    std::vector<Verdict> verdicts(group.detections.size());
    match(group, options_.overlap, verdicts);
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      categories_[place.category].detections[place.judged + i] = {group.detections[i]->score,
                                                                  static_cast<std::int64_t>(i), verdicts[i]};
    }
  }

  std::array<double, 12> figures(CategoryWork& category) const {
    std::stable_sort(category.detections.begin(), category.detections.end(),
                     [](const Judged& a, const Judged& b) { return a.score > b.score; });
    std::array<double, 12> all{};
    all.fill(kNothing);
    for (std::size_t area = 0; area < kAreas; ++area) {
      if (category.objects[area] == 0) continue;
      const std::array<double, kThresholds> precisions = mean_precisions(category, area);
      all[area == 0 ? 0 : area + 2] = mean(precisions);
      all[area == 0 ? 8 : area + 8] = recall(category, area, options_.most_detections[2]);
      if (area > 0) continue;
      all[1] = precisions[0];
      all[2] = precisions[5];  // 0.75
      all[6] = recall(category, area, options_.most_detections[0]);
      all[7] = recall(category, area, options_.most_detections[1]);
    }
    return all;
  }

  static double mean(const std::array<double, kThresholds>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / kThresholds;
  }

  /// By threshold: the mean over levels of recall of the best precision at that recall or more.
  static std::array<double, kThresholds> mean_precisions(const CategoryWork& category, std::size_t area) {
    std::array<double, kThresholds> means{};
    std::vector<double> at_hits;
    for (int t = 0; t < kThresholds; ++t) {
      // Precision can only rise where a detection is right.
      at_hits.clear();
      std::int64_t right = 0;
      std::int64_t counted = 0;
      for (const Judged& one : category.detections) {
        if ((one.verdict.ignored[area] >> t & 1U) != 0) continue;
        ++counted;
        if ((one.verdict.matched[area] >> t & 1U) == 0) continue;
        ++right;
        constexpr double kSpacing = 0x1p-52;  // as COCO's tools guard against 0 / 0
        at_hits.push_back(static_cast<double>(right) / (static_cast<double>(counted) + kSpacing));
      }
      for (std::size_t i = at_hits.size(); i-- > 1;) at_hits[i - 1] = std::max(at_hits[i - 1], at_hits[i]);
      const auto objects = static_cast<double>(category.objects[area]);
      std::size_t hit = 0;
      double sum = 0;
      for (int level = 0; level < kLevels; ++level) {
        const double wanted = level == kLevels - 1 ? 1 : level * (1.0 / (kLevels - 1));
        while (hit < at_hits.size() && static_cast<double>(hit + 1) / objects < wanted) ++hit;
        if (hit == at_hits.size()) break;
        sum += at_hits[hit];
      }
      means[static_cast<std::size_t>(t)] = sum / kLevels;
    }
    return means;
  }

  /// The share of objects that are found, mean over thresholds.
  static double recall(const CategoryWork& category, std::size_t area, std::int64_t most_detections) {
    std::array<double, kThresholds> shares{};
    for (int t = 0; t < kThresholds; ++t) {
      std::int64_t right = 0;
      for (const Judged& one : category.detections) {
        const unsigned hit = one.verdict.matched[area] & ~one.verdict.ignored[area];
        right += one.rank < most_detections && (hit >> t & 1U) != 0 ? 1 : 0;
      }
      shares[static_cast<std::size_t>(t)] =
          static_cast<double>(right) / static_cast<double>(category.objects[area]);
    }
    return mean(shares);
  }

  const CocoCase& of_;
  const CocoOptions& options_;
  std::vector<std::size_t> detections_, objects_;
  std::vector<CategoryWork> categories_;
  std::vector<GroupPlace> groups_;
};

}  // namespace

CocoResult evaluate_coco(const CocoCase& of, const CocoOptions& options) {
  return Evaluation(of, options).result();
}

}  // namespace refnorm::metrics
