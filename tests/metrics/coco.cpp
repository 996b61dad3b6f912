#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <refnorm/base/random.h>
#include <refnorm/metrics/coco.h>

namespace refnorm::metrics {
namespace {

constexpr double kNone = -1;

/// Boxes of 10 x 10 whose top left corners are x apart overlap by 10 − x of 10: (10 − x) / (10 + x).
Xywh box_at(double x) {
  return {x, 0, 10, 10};
}

TrueObject object(double x, double area = 100, bool crowd = false) {
  return {0, 0, box_at(x), area, crowd, nullptr};
}

Detection detection(double x, double score) {
  return {0, 0, score, box_at(x), nullptr};
}

CocoCase one_picture(std::vector<TrueObject> objects, std::vector<Detection> detections) {
  return {{{100, 100}}, 1, std::move(objects), std::move(detections)};
}

/// By name.
double figure(const CocoCase& of, const std::string& name, const CocoOptions& options = {}) {
  const auto place = std::find(kCocoFigures.begin(), kCocoFigures.end(), name);
  return evaluate_coco(of, options).figures.at(static_cast<std::size_t>(place - kCocoFigures.begin()));
}

void expect_figures(const CocoCase& of, const std::array<double, 12>& expected) {
  const CocoResult found = evaluate_coco(of, {});
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found.figures[i], expected[i], 1e-12) << kCocoFigures[i];
}

TEST(CocoFigures, OneBoxFoundExactly) {
  // All figures are 1, but for medium and large objects, of which there are none.
  expect_figures(one_picture({object(0)}, {detection(0, 0.5)}), {1, 1, 1, 1, -1, -1, 1, 1, 1, 1, -1, -1});
}

TEST(CocoFigures, TwoBoxesOfWhichOneIsFoundHalf) {
  // The second detection is 2 aside: 8 / 12 = 0.667, which passes 0.5, 0.55, 0.6 and 0.65. So for 4
  // thresholds both are found, precision 1 up to recall 1; for the other 6 precision is 1 up to recall 0.5
  // (51 of 101 levels), then 0.
  const double ap = (4 + 6 * 51.0 / 101) / 10;
  const double recall = (4 + 6 * 0.5) / 10;
  expect_figures(one_picture({object(0), object(50)}, {detection(0, 0.9), detection(52, 0.8)}),
                 {ap, 1, 51.0 / 101, ap, -1, -1, 0.5, recall, recall, recall, -1, -1});
}

TEST(CocoFigures, AWrongDetectionBeforeARightOne) {
  // Precision 1/2 at recall 1, at all levels.
  EXPECT_DOUBLE_EQ(figure(one_picture({object(0)}, {detection(50, 0.9), detection(0, 0.8)}), "AP"), 0.5);
  EXPECT_DOUBLE_EQ(figure(one_picture({object(0)}, {detection(50, 0.9), detection(0, 0.8)}), "AR1"), 0);
  // Behind it, it does not matter.
  EXPECT_DOUBLE_EQ(figure(one_picture({object(0)}, {detection(50, 0.7), detection(0, 0.8)}), "AP"), 1);
}

TEST(CocoFigures, BetweenEqualScoresTheEarlierCountsFirst) {
  EXPECT_DOUBLE_EQ(figure(one_picture({object(0)}, {detection(50, 0.8), detection(0, 0.8)}), "AP"), 0.5);
  EXPECT_DOUBLE_EQ(figure(one_picture({object(0)}, {detection(0, 0.8), detection(50, 0.8)}), "AP"), 1);
  // The same across pictures, whatever the order in the list.
  CocoCase of = one_picture({object(0)}, {detection(50, 0.8), detection(0, 0.8)});
  of.images.push_back({100, 100});
  of.detections[0].image = 1;
  EXPECT_DOUBLE_EQ(figure(of, "AP"), 1);
}

TEST(CocoFigures, AnObjectIsFoundOnce) {
  // The better one comes first: the second is wrong. As the first in order, the worse one takes the object
  // where it overlaps by enough.
  EXPECT_DOUBLE_EQ(figure(one_picture({object(0)}, {detection(0, 0.9), detection(1, 0.8)}), "AP"), 1);
  // 1 aside: 9 / 11 = 0.818: right for 0.5 … 0.8 (7 thresholds), with the exact one wrong and behind; else
  // wrong, and the exact one right, with precision 1/2.
  EXPECT_NEAR(figure(one_picture({object(0)}, {detection(1, 0.9), detection(0, 0.8)}), "AP"),
              (7 + 3 * 0.5) / 10, 1e-12);
}

TEST(CocoFigures, OfEqualOverlapsTheLaterObjectIsTaken) {
  // Between two objects 4 apart, a detection overlaps each by 8 / 12. It takes the second, and the next
  // detection, at the place of the second, has only the first left: 6 / 14 is not enough.
  const CocoCase of = one_picture({object(0), object(4)}, {detection(2, 0.9), detection(4, 0.8)});
  EXPECT_DOUBLE_EQ(figure(of, "AP50"), 51.0 / 101);
  const CocoCase other = one_picture({object(4), object(0)}, {detection(2, 0.9), detection(4, 0.8)});
  EXPECT_DOUBLE_EQ(figure(other, "AP50"), 1);
}

TEST(CocoFigures, DetectionsInACrowdDoNotCount) {
  TrueObject crowd{0, 0, {40, 0, 60, 60}, 3600, true, nullptr};
  // Three detections within the crowd: each overlaps it by all of its own area, though by little of the
  // crowd's.
  EXPECT_DOUBLE_EQ(figure(one_picture({object(0), crowd}, {detection(50, 0.9), detection(52, 0.8),
                                                           detection(70, 0.7), detection(0, 0.6)}),
                          "AP"),
                   1);
  // An object itself is preferred to a crowd around it, even where the crowd overlaps more.
  crowd.box = {0, 0, 60, 60};
  EXPECT_DOUBLE_EQ(figure(one_picture({crowd, object(0)}, {detection(1, 0.9)}), "AP50"), 1);
  // Only a crowd: there is nothing to be found.
  EXPECT_EQ(figure(one_picture({crowd}, {detection(0, 0.9)}), "AP"), kNone);
}

TEST(CocoFigures, LimitsOnDetections) {
  CocoOptions two;
  two.most_detections = {1, 2, 2};
  const CocoCase of = one_picture({object(0)}, {detection(50, 0.9), detection(70, 0.8), detection(0, 0.7)});
  EXPECT_EQ(figure(of, "AP", two), 0) << "the right one is the third";
  EXPECT_NEAR(figure(of, "AP"), 1.0 / 3, 1e-12);
  EXPECT_EQ(figure(of, "AR1"), 0);
  EXPECT_EQ(figure(of, "AR10"), 1);
  // 101 detections of which the right one has the lowest score: beyond the limit of 100.
  std::vector<Detection> many{detection(0, 0.1)};
  for (int i = 0; i < 100; ++i) many.push_back(detection(50, 0.5));
  EXPECT_EQ(figure(one_picture({object(0)}, many), "AR100"), 0);
  many.pop_back();
  EXPECT_EQ(figure(one_picture({object(0)}, many), "AR100"), 1);
}

TEST(CocoFigures, SizesAreTheObjectsAreas) {
  // 32² = 1,024 is small and medium, 96² = 9,216 medium and large: both bounds belong to both.
  const auto with_area = [](double area) {
    return evaluate_coco(one_picture({object(0, area)}, {detection(0, 0.9)}), {}).figures;
  };
  const auto sizes = [&](double area) {
    const auto all = with_area(area);
    return std::array<double, 3>{std::round(1e12 * all[3]) / 1e12, std::round(1e12 * all[4]) / 1e12,
                                 std::round(1e12 * all[5]) / 1e12};
  };
  // The detection itself, of area 100, is small; matched ones count whatever their area.
  EXPECT_EQ(sizes(1023), (std::array<double, 3>{1, -1, -1}));
  EXPECT_EQ(sizes(1024), (std::array<double, 3>{1, 1, -1}));
  EXPECT_EQ(sizes(9215), (std::array<double, 3>{-1, 1, -1}));
  EXPECT_EQ(sizes(9216), (std::array<double, 3>{-1, 1, 1}));
  // A wrong detection counts only within its own size: the small one does not disturb the medium ones.
  const CocoCase of = one_picture({object(0, 2000)}, {detection(50, 0.9), detection(0, 0.8)});
  EXPECT_DOUBLE_EQ(figure(of, "AP"), 0.5);
  EXPECT_DOUBLE_EQ(figure(of, "APm"), 1);
}

TEST(CocoFigures, CategoriesHaveTheSameWeight) {
  CocoCase of = one_picture({object(0), object(20), object(40)}, {detection(0, 0.9)});
  of.categories = 3;
  of.objects[2].category = 1;  // not found; of category 2 there is no object
  of.detections.push_back({0, 2, 0.99, box_at(0), nullptr});
  const CocoResult found = evaluate_coco(of, {});
  EXPECT_DOUBLE_EQ(found.by_category[0][0], 51.0 / 101);
  EXPECT_EQ(found.by_category[1][0], 0);
  EXPECT_EQ(found.by_category[2][0], kNone);
  EXPECT_DOUBLE_EQ(found.figures[0], 51.0 / 101 / 2);
}

TEST(CocoFigures, NothingAtAll) {
  CocoCase of;
  for (const double value : evaluate_coco(of, {}).figures) EXPECT_EQ(value, kNone);
  of = one_picture({object(0)}, {});
  expect_figures(of, {0, 0, 0, 0, -1, -1, 0, 0, 0, 0, -1, -1});
}

TEST(CocoFigures, Masks) {
  // 10 x 10 pixels; the object is the left half. Of the same box but the lower triangle of it is another
  // mask.
  std::vector<std::uint8_t> left(100);
  std::vector<std::uint8_t> most(100);
  for (std::size_t i = 0; i < 100; ++i) left[i] = i % 10 < 5 ? 1 : 0;
  for (std::size_t i = 0; i < 100; ++i) most[i] = i % 10 < 5 && i >= 20 ? 1 : 0;  // 40 of the 50: IoU 0.8
  const InstanceMask truth{{}, encode_mask(left, 10, 10)};
  const Rle found = encode_mask(most, 10, 10);
  CocoCase of{{{10, 10}}, 1, {{0, 0, {0, 0, 5, 10}, 50, false, &truth}}, {{0, 0, 0.9, {}, &found}}};
  CocoOptions masks;
  masks.overlap = OverlapOf::kMasks;
  EXPECT_DOUBLE_EQ(figure(of, "AP", masks), 0.7);  // 0.5 … 0.8
  // In a crowd only the detection's own area counts.
  std::vector<std::uint8_t> all(100, 1);
  const InstanceMask crowd{{}, encode_mask(all, 10, 10)};
  of.objects.push_back({0, 0, {0, 0, 10, 10}, 100, true, &crowd});
  of.detections.insert(of.detections.begin(), {0, 0, 0.95, {}, &found});
  EXPECT_DOUBLE_EQ(figure(of, "AP", masks), 0.7) << "the second is in the crowd, where it is not right";
}

// The procedure as it is defined, with everything written out: matrices of overlaps, all objects in each
// step, precision and recall as sequences. Slow, and for boxes only.
class Plain {
 public:
  explicit Plain(const CocoCase& of) : of_(of) {}

  double average_precision(double threshold, double from, double to) const {
    struct Scored {
      double score;
      bool right;
    };
    std::vector<Scored> all;
    double objects = 0;
    for (std::int64_t image = 0; image < static_cast<std::int64_t>(of_.images.size()); ++image) {
      std::vector<TrueObject> here;
      for (const bool ignored : {false, true}) {
        for (const TrueObject& one : of_.objects) {
          if (one.image == image && out(one, from, to) == ignored) here.push_back(one);
        }
      }
      for (const TrueObject& one : here) objects += out(one, from, to) ? 0 : 1;
      std::vector<Detection> found;
      for (const Detection& one : of_.detections) {
        if (one.image == image) found.push_back(one);
      }
      std::stable_sort(found.begin(), found.end(),
                       [](const Detection& a, const Detection& b) { return a.score > b.score; });
      std::vector<bool> taken(here.size());
      for (const Detection& one : found) {
        double best = threshold;
        int match = -1;
        for (std::size_t i = 0; i < here.size(); ++i) {
          if (taken[i] && !here[i].crowd) continue;
          if (match >= 0 && !out(here[static_cast<std::size_t>(match)], from, to) && out(here[i], from, to))
            break;
          const double iou = box_iou(one.box, here[i].box, here[i].crowd);
          if (iou < best) continue;
          best = iou;
          match = static_cast<int>(i);
        }
        const double area = one.box[2] * one.box[3];
        if (match < 0) {
          if (area >= from && area <= to) all.push_back({one.score, false});
          continue;
        }
        taken[static_cast<std::size_t>(match)] = true;
        if (!out(here[static_cast<std::size_t>(match)], from, to)) all.push_back({one.score, true});
      }
    }
    if (objects == 0) return kNone;
    std::stable_sort(all.begin(), all.end(),
                     [](const Scored& a, const Scored& b) { return a.score > b.score; });
    double sum = 0;
    for (int level = 0; level <= 100; ++level) {
      double best = 0;
      double right = 0;
      for (std::size_t i = 0; i < all.size(); ++i) {
        right += all[i].right ? 1 : 0;
        if (right / objects >= level * 0.01) best = std::max(best, right / static_cast<double>(i + 1));
      }
      sum += best;
    }
    return sum / 101;
  }

 private:
  static bool out(const TrueObject& one, double from, double to) {
    return one.crowd || one.area < from || one.area > to;
  }

  const CocoCase& of_;
};

RC_GTEST_PROP(CocoProperties, FiguresAreThoseOfThePlainProcedure, ()) {
  CocoCase of;
  const auto images = *rc::gen::inRange<std::int64_t>(1, 4);
  of.images.resize(static_cast<std::size_t>(images));
  of.categories = 1;
  const auto sizes = rc::gen::element(8.0, 12.0, 40.0, 100.0);
  const auto box = [&] {
    return Xywh{static_cast<double>(*rc::gen::inRange(0, 8)), static_cast<double>(*rc::gen::inRange(0, 5)),
                *sizes, *sizes};
  };
  const auto objects = *rc::gen::inRange(0, 12);
  for (int i = 0; i < objects; ++i) {
    const Xywh where = box();
    of.objects.push_back({*rc::gen::inRange<std::int64_t>(0, images), 0, where, where[2] * where[3],
                          *rc::gen::inRange(0, 5) == 0, nullptr});
  }
  const auto detections = *rc::gen::inRange(0, 20);
  for (int i = 0; i < detections; ++i) {
    of.detections.push_back(
        {*rc::gen::inRange<std::int64_t>(0, images), 0, *rc::gen::inRange(1, 6) / 8.0, box(), nullptr});
  }
  const CocoResult found = evaluate_coco(of, {});
  const Plain plain(of);
  const std::array<std::array<double, 2>, 4> ranges{{{0, 1e10}, {0, 1024}, {1024, 9216}, {9216, 1e10}}};
  constexpr std::array<std::size_t, 4> kPlaces{0, 3, 4, 5};
  for (std::size_t area = 0; area < 4; ++area) {
    double sum = 0;
    for (int t = 0; t < 10; ++t)
      sum += plain.average_precision(0.5 + t * ((0.95 - 0.5) / 9), ranges[area][0], ranges[area][1]);
    RC_ASSERT(std::abs(found.figures[kPlaces[area]] - sum / 10) < 1e-12);
  }
}

TEST(CocoThreads, DoNotChangeFigures) {
  CocoCase of;
  of.images.resize(50, {480, 640});
  of.categories = 5;
  RandomStream random(1, "coco");
  const auto box = [&] {
    return Xywh{random.uniform() * 20, random.uniform() * 20, 5 + random.uniform() * 90,
                5 + random.uniform() * 90};
  };
  for (int i = 0; i < 300; ++i) {
    of.objects.push_back({static_cast<std::int64_t>(random.below(50)),
                          static_cast<std::int64_t>(random.below(5)), box(), 1 + random.uniform() * 9000,
                          random.below(10) == 0, nullptr});
  }
  for (int i = 0; i < 2000; ++i) {
    of.detections.push_back({static_cast<std::int64_t>(random.below(50)),
                             static_cast<std::int64_t>(random.below(5)),
                             std::round(random.uniform() * 20) / 20, box(), nullptr});
  }
  const CocoResult alone = evaluate_coco(of, {});
  EXPECT_GT(alone.figures[0], 0);
  for (const std::int64_t threads : {2, 7}) {
    CocoOptions options;
    options.threads = threads;
    const CocoResult together = evaluate_coco(of, options);
    EXPECT_EQ(together.figures, alone.figures);
    EXPECT_EQ(together.by_category, alone.by_category);
  }
}

}  // namespace
}  // namespace refnorm::metrics
