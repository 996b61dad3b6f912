#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <refnorm/base/polygon.h>
#include <refnorm/base/rle.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using testing::contains;
using testing::message_of;
using testing::user_error_of;
using Dense = std::vector<std::uint8_t>;
using Counts = std::vector<std::uint32_t>;

/// 3 rows of 4: columns are 010, 011, 110, 000.
const Dense kSmall{0, 0, 1, 0,  //
                   1, 1, 1, 0,  //
                   0, 1, 0, 0};
const Rle kSmallRle{3, 4, {1, 1, 2, 4, 4}};

TEST(Masks, RunsGoDownTheColumns) {
  EXPECT_EQ(encode_mask(kSmall, 3, 4), kSmallRle);
  EXPECT_EQ(decode_mask(kSmallRle), kSmall);
  EXPECT_EQ(mask_area(kSmallRle), 5);
  EXPECT_EQ(mask_box(kSmallRle), (Xywh{0, 0, 3, 3}));
  EXPECT_EQ(encode_mask(Dense{7, 0}, 2, 1).counts, (Counts{0, 1, 1}));  // begins with a run of 0 of no length
  EXPECT_EQ(encode_mask({}, 0, 4), (Rle{0, 4, {0}}));
}

TEST(Masks, BoxesOfFewPixels) {
  EXPECT_EQ(mask_box({3, 4, {12}}), (Xywh{0, 0, 0, 0}));
  EXPECT_EQ(mask_box({3, 4, {7, 1, 4}}), (Xywh{2, 1, 1, 1}));
  // One run from the last row of a column to the first of the next.
  EXPECT_EQ(mask_box({3, 4, {5, 2, 5}}), (Xywh{1, 0, 2, 3}));
  // Runs of no length have no pixels.
  EXPECT_EQ(mask_box({3, 4, {2, 0, 5, 1, 4}}), (Xywh{2, 1, 1, 1}));
}

TEST(Masks, TextsByHand) {
  // 1 -> '1'; 31 = 01111 of the second group, 11111 of the first with "more": 'o', '0'; 32 -> 00000 more,
  // 00001.
  EXPECT_EQ(rle_text({2, 32, {1, 31, 32}}), "1o0P1");
  // The fourth count as its difference to the second, 3 − 5 = −2: 11110, 'N'.
  EXPECT_EQ(rle_text({1, 20, {1, 5, 11, 3}}), "15;N");
  EXPECT_EQ(rle_from_text("1o0P1", 2, 32, "t"), (Rle{2, 32, {1, 31, 32}}));
  EXPECT_EQ(rle_from_text("15;N", 1, 20, "t"), (Rle{1, 20, {1, 5, 11, 3}}));
  EXPECT_EQ(rle_from_text("", 0, 3, "t"), (Rle{0, 3, {0}}));
}

TEST(Masks, HostileTexts) {
  const auto error = [](std::string_view text, std::int64_t height = 3, std::int64_t width = 4) {
    return user_error_of([&] { rle_from_text(text, height, width, "f"); });
  };
  EXPECT_EQ(error("15!"), "f: '!' at place 3 is no character of a compressed RLE");
  EXPECT_EQ(error(std::string_view("15\0", 3)), "f: '\\x00' at place 3 is no character of a compressed RLE");
  EXPECT_EQ(error("1p"), "f: 'p' at place 2 is no character of a compressed RLE");
  EXPECT_EQ(error("15Q"), "f: the compressed RLE ends within a run");
  EXPECT_EQ(error("15"), "f: the RLE's runs are 6 pixels, expected the 12 of its size, 3 x 4");
  EXPECT_EQ(error("15P1"), "f: the RLE's runs go beyond the 12 pixels of its size, 3 x 4");
  EXPECT_EQ(error("N"), "f: run 1 of the RLE is of -2 pixels");
  EXPECT_EQ(error("131H"), "f: run 4 of the RLE is of -5 pixels");  // 3 − 8
  EXPECT_EQ(error(std::string(100, 'o')), "f: a run of the RLE, at place 8, is longer than any can be");
  EXPECT_TRUE(contains(error("1", -1, 4), "a mask of -1 x 4 pixels"));
  EXPECT_TRUE(contains(error("1", 1 << 16, 1 << 16), "expected at most 2147483648"));
  EXPECT_TRUE(contains(error("1", std::int64_t{1} << 62, std::int64_t{1} << 62), "expected at most"));
}

TEST(Masks, HostileCounts) {
  const auto error = [](const std::vector<std::int64_t>& counts) {
    return user_error_of([&] { rle_from_counts(counts, 3, 4, "f"); });
  };
  EXPECT_EQ(error({5, 6}), "f: the RLE's runs are 11 pixels, expected the 12 of its size, 3 x 4");
  EXPECT_EQ(error({}), "f: the RLE's runs are 0 pixels, expected the 12 of its size, 3 x 4");
  EXPECT_EQ(error({5, 8}), "f: the RLE's runs go beyond the 12 pixels of its size, 3 x 4");
  EXPECT_EQ(error({13, -1}), "f: the RLE's runs go beyond the 12 pixels of its size, 3 x 4");
  EXPECT_EQ(error({5, -1, 8}), "f: run 2 of the RLE is of -1 pixels");
  EXPECT_EQ(error({std::int64_t{1} << 62, std::int64_t{1} << 62}),
            "f: the RLE's runs go beyond the 12 pixels of its size, 3 x 4");
  EXPECT_EQ(rle_from_counts(std::vector<std::int64_t>{5, 7}, 3, 4, "f"), (Rle{3, 4, {5, 7}}));
}

TEST(Masks, OfOtherSizesAreNotMixed) {
  const Rle a{2, 3, {6}};
  const Rle b{3, 2, {6}};
  message_of<Error>([&] { merged(a, b, Merge::kUnion); });
  message_of<Error>([&] { intersection(mask_runs({2, 3, {0, 6}}), mask_runs({3, 2, {0, 6}})); });
  Dense out(5);
  message_of<Error>([&] { paint_mask(a, out); });
  message_of<Error>([&] { encode_mask(out, 2, 3); });
  message_of<Error>([&] { encode_mask(out, -5, -1); });
}

TEST(BoxIou, ByHand) {
  const Xywh a{0, 0, 4, 2};
  const Xywh b{2, 1, 4, 2};
  EXPECT_DOUBLE_EQ(box_iou(a, b, false), 2.0 / 14);
  EXPECT_DOUBLE_EQ(box_iou(a, b, true), 2.0 / 8) << "over the detection's area";
  EXPECT_EQ(box_iou(a, {4, 0, 2, 2}, false), 0) << "they only touch";
  EXPECT_EQ(box_iou(a, {0, 0, 0, 0}, false), 0);
  EXPECT_EQ(box_iou({0, 0, 0, 0}, a, true), 0) << "and not 0 / 0";
  EXPECT_EQ(box_ious(std::vector<Xywh>{a, b}, std::vector<Xywh>{a, b, b}, Dense{0, 1, 0}),
            (std::vector<double>{1, 2.0 / 8, 2.0 / 14, 2.0 / 14, 1, 1}));
}

TEST(Polygons, WhatIsNoArea) {
  EXPECT_EQ(mask_area(rasterize(Polygon{}, 5, 5)), 0);
  EXPECT_EQ(mask_area(rasterize(Polygon{1, 1, 1, 1, 1, 1}, 5, 5)), 0);
  EXPECT_EQ(mask_area(rasterize(Polygon{2.5, 0, 2.5, 5, 2.5, 1}, 5, 5)), 0) << "a vertical line";
  EXPECT_EQ(rasterize(Polygon{0, 0, 5, 0, 5, 5}, 0, 0), (Rle{0, 0, {0}}));
}

TEST(Polygons, ReachBeyondThePicture) {
  const Polygon all{-1e300, -1e300, 1e300, -1e300, 1e300, 1e300, -1e300, 1e300};
  EXPECT_EQ(rasterize(all, 4, 3).counts, (Counts{0, 12}));
  EXPECT_EQ(rasterize(Polygon{-50, -50, -10, -50, -10, 100}, 4, 3).counts, (Counts{12}));
  EXPECT_EQ(rasterize(Polygon{1, -50, 2, -50, 2, 100, 1, 100}, 4, 3).counts, (Counts{4, 4, 4}));
}

// Properties, against dense masks and plain counting.

struct Sizes {
  std::int64_t height, width;
};

Sizes any_sizes() {
  return {*rc::gen::inRange<std::int64_t>(1, 14), *rc::gen::inRange<std::int64_t>(1, 14)};
}

/// Values drawn one by one, or in long runs.
Dense any_mask(const Sizes& sizes) {
  const auto chance = *rc::gen::element(1, 3, 10);
  return *rc::gen::container<Dense>(static_cast<std::size_t>(sizes.height * sizes.width),
                                    rc::gen::map(rc::gen::inRange(0, 10), [chance](int drawn) {
                                      return static_cast<std::uint8_t>(drawn < chance ? 0 : 1);
                                    }));
}

RC_GTEST_PROP(MaskProperties, EncodingAndTextsLoseNothing, ()) {
  const Sizes sizes = any_sizes();
  const Dense dense = any_mask(sizes);
  const Rle mask = encode_mask(dense, sizes.height, sizes.width);
  RC_ASSERT(decode_mask(mask) == dense);
  RC_ASSERT(rle_from_text(rle_text(mask), sizes.height, sizes.width, "t") == mask);
  for (std::size_t i = 1; i < mask.counts.size(); ++i) RC_ASSERT(mask.counts[i] > 0U);
}

RC_GTEST_PROP(MaskProperties, TextsOfLongRuns, ()) {
  // Up to 2^31 pixels, so that differences take up to seven groups and either sign.
  std::vector<std::uint32_t> counts;
  std::int64_t sum = 0;
  const auto runs = *rc::gen::inRange(1, 12);
  for (int i = 0; i < runs; ++i) {
    const auto bits = *rc::gen::inRange(1, 28);
    counts.push_back(*rc::gen::inRange<std::uint32_t>(0, 1U << bits));
    sum += counts.back();
  }
  const Rle mask{sum, 1, counts};
  RC_ASSERT(rle_from_text(rle_text(mask), sum, 1, "t") == mask);
}

RC_GTEST_PROP(MaskProperties, MergingAndComparingAreThoseOfDenseMasks, ()) {
  const Sizes sizes = any_sizes();
  const Dense a = any_mask(sizes);
  const Dense b = any_mask(sizes);
  const Rle mask_a = encode_mask(a, sizes.height, sizes.width);
  const Rle mask_b = encode_mask(b, sizes.height, sizes.width);
  Dense both(a.size());
  Dense either(a.size());
  double common = 0;
  double in_a = 0;
  double in_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    both[i] = a[i] & b[i];
    either[i] = a[i] | b[i];
    common += both[i];
    in_a += a[i];
    in_b += b[i];
  }
  RC_ASSERT(merged(mask_a, mask_b, Merge::kIntersection) == encode_mask(both, sizes.height, sizes.width));
  RC_ASSERT(merged(mask_a, mask_b, Merge::kUnion) == encode_mask(either, sizes.height, sizes.width));
  RC_ASSERT(static_cast<double>(mask_area(mask_a)) == in_a);
  const std::vector<double> ious =
      mask_ious(std::vector<Rle>{mask_a}, std::vector<Rle>{mask_b, mask_b}, Dense{0, 1});
  RC_ASSERT(ious[0] == (common > 0 ? common / (in_a + in_b - common) : 0));
  RC_ASSERT(ious[1] == (common > 0 ? common / in_a : 0));
}

RC_GTEST_PROP(MaskProperties, BoxesAndMirrorImagesAreThoseOfDenseMasks, ()) {
  const Sizes sizes = any_sizes();
  const Dense dense = any_mask(sizes);
  Dense other(dense.size());
  std::int64_t left = sizes.width;
  std::int64_t right = -1;
  std::int64_t top = sizes.height;
  std::int64_t bottom = -1;
  for (std::int64_t y = 0; y < sizes.height; ++y) {
    for (std::int64_t x = 0; x < sizes.width; ++x) {
      const std::uint8_t value = dense[static_cast<std::size_t>(y * sizes.width + x)];
      other[static_cast<std::size_t>(y * sizes.width + sizes.width - 1 - x)] = value;
      if (value == 0) continue;
      left = std::min(left, x);
      right = std::max(right, x);
      top = std::min(top, y);
      bottom = std::max(bottom, y);
    }
  }
  const Rle mask = encode_mask(dense, sizes.height, sizes.width);
  Xywh box = mask_box(mask);
  // A run that goes on in the next column makes the box as high as the picture, and so it is.
  RC_ASSERT(box ==
            (right < 0 ? Xywh{0, 0, 0, 0}
                       : Xywh{static_cast<double>(left), static_cast<double>(top),
                              static_cast<double>(right - left + 1), static_cast<double>(bottom - top + 1)}));
  RC_ASSERT(mirrored(mask) == encode_mask(other, sizes.height, sizes.width));
}

/// The walk itself, point by point, as COCO's tools describe it; slow, and for small pictures only.
Rle walked(const Polygon& polygon, std::int64_t height, std::int64_t width) {
  std::vector<std::pair<long, long>> points;
  const std::size_t corners = polygon.size() / 2;
  const auto fifths = [](double value) { return static_cast<long>(5 * value + 0.5); };
  for (std::size_t i = 0; i < corners; ++i) {
    const std::size_t j = (i + 1) % corners;
    long x0 = fifths(polygon[2 * i]);
    long y0 = fifths(polygon[2 * i + 1]);
    long x1 = fifths(polygon[2 * j]);
    long y1 = fifths(polygon[2 * j + 1]);
    const long dx = std::abs(x1 - x0);
    const long dy = std::abs(y1 - y0);
    const bool back = dx >= dy ? x0 > x1 : y0 > y1;
    if (back) {
      std::swap(x0, x1);
      std::swap(y0, y1);
    }
    std::vector<std::pair<long, long>> edge;
    const long steps = std::max(dx, dy);
    for (long step = 0; step <= steps; ++step) {
      const double slope = steps == 0 ? 0.0
                           : dx >= dy ? static_cast<double>(y1 - y0) / static_cast<double>(dx)
                                      : static_cast<double>(x1 - x0) / static_cast<double>(dy);
      const double moved = slope * static_cast<double>(step);
      if (dx >= dy)
        edge.emplace_back(x0 + step, static_cast<long>(static_cast<double>(y0) + moved + 0.5));
      else
        edge.emplace_back(static_cast<long>(static_cast<double>(x0) + moved + 0.5), y0 + step);
    }
    if (back) std::reverse(edge.begin(), edge.end());
    points.insert(points.end(), edge.begin(), edge.end());
  }
  Dense toggles(static_cast<std::size_t>(height * width) + 1);
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].first == points[i - 1].first) continue;
    const double x = (static_cast<double>(std::min(points[i].first, points[i - 1].first)) + 0.5) / 5 - 0.5;
    if (std::floor(x) != x || x < 0 || x > static_cast<double>(width - 1)) continue;
    const double y = (static_cast<double>(std::min(points[i].second, points[i - 1].second)) + 0.5) / 5 - 0.5;
    const double row = std::ceil(std::clamp(y, 0.0, static_cast<double>(height)));
    toggles[static_cast<std::size_t>(x * static_cast<double>(height) + row)] ^= 1;
  }
  Dense dense(static_cast<std::size_t>(height * width));
  bool inside = false;
  for (std::int64_t i = 0; i < height * width; ++i) {
    if (toggles[static_cast<std::size_t>(i)] != 0) inside = !inside;
    dense[static_cast<std::size_t>(i % height * width + i / height)] = inside ? 1 : 0;
  }
  return encode_mask(dense, height, width);
}

RC_GTEST_PROP(PolygonProperties, CrossingsAreThoseOfTheWalk, ()) {
  const Sizes sizes = any_sizes();
  Polygon polygon;
  const auto corners = *rc::gen::inRange(1, 9);
  const auto scale = *rc::gen::element(1, 10, 100, 1000);  // whole numbers, halves of fifths, anything
  for (int i = 0; i < 2 * corners; ++i)
    polygon.push_back(*rc::gen::inRange(-20 * scale, 30 * scale) / static_cast<double>(scale));
  RC_ASSERT(rasterize(polygon, sizes.height, sizes.width) == walked(polygon, sizes.height, sizes.width));
}

}  // namespace
}  // namespace refnorm
