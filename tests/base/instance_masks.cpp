#include <numeric>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <refnorm/base/instance_mask.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using Dense = std::vector<std::uint8_t>;

Dense crop(const InstanceMask& mask, const Placement& place, const Corners& box, std::int64_t side) {
  Dense out(static_cast<std::size_t>(side * side), 7);
  crop_mask(mask, place, box, side, out);
  return out;
}

InstanceMask of_dense(const Dense& dense, std::int64_t height, std::int64_t width) {
  return {{}, encode_mask(dense, height, width)};
}

TEST(InstanceMasks, AreOfPolygonsOrRuns) {
  // Two rectangles, in columns 1 … 2 and 4 of 6; and the same as runs.
  const InstanceMask parts{{{1, 0, 3, 0, 3, 2, 1, 2}, {4, 1, 5, 1, 5, 3, 4, 3}}, {}};
  const Dense dense{0, 1, 1, 0, 0, 0,  //
                    0, 1, 1, 0, 1, 0,  //
                    0, 0, 0, 0, 1, 0};
  EXPECT_EQ(decode_mask(instance_rle(parts, 3, 6)), dense);
  EXPECT_EQ(decode_mask(instance_rle(of_dense(dense, 3, 6), 3, 6)), dense);
  testing::message_of<Error>([&] { instance_rle(of_dense(dense, 3, 6), 6, 3); });
}

TEST(CropMask, RunsPixelByPixel) {
  const Dense dense{0, 0, 1, 0,  //
                    1, 1, 1, 0,  //
                    0, 1, 0, 0};
  const InstanceMask mask = of_dense(dense, 3, 4);
  // As many cells as pixels: the pixels themselves. Row 3 lies beyond the picture.
  EXPECT_EQ(crop(mask, {}, {0, 0, 4, 4}, 4), (Dense{0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(crop(mask, {}, {1, 0, 3, 2}, 2), (Dense{0, 1, 1, 1}));
  EXPECT_EQ(crop(mask, {}, {-1, 1, 1, 3}, 2), (Dense{0, 1, 0, 0}));
  // Of cells of 2 x 2 pixels: covered are 2, 3, 1 and 0 quarters; half is enough.
  EXPECT_EQ(crop(mask, {}, {0, 0, 4, 4}, 2), (Dense{1, 1, 0, 0}));
  // Twice as large before the network: each pixel is 2 x 2 cells.
  EXPECT_EQ(crop(mask, {2, 2, false, 4}, {2, 0, 6, 4}, 4),
            (Dense{0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
}

TEST(CropMask, MirroredRuns) {
  const Dense dense{0, 0, 1, 0,  //
                    1, 1, 1, 0,  //
                    0, 1, 0, 0};
  EXPECT_EQ(crop(of_dense(dense, 3, 4), {1, 1, true, 4}, {0, 0, 3, 3}, 3),
            (Dense{0, 1, 0, 0, 1, 1, 0, 0, 1}));
}

TEST(CropMask, Polygons) {
  // A rectangle x 2 … 4, y 1 … 3; in the box x 1 … 5, y 0 … 4 it is the middle.
  const InstanceMask mask{{{2, 1, 4, 1, 4, 3, 2, 3}}, {}};
  const Dense middle{0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0};
  EXPECT_EQ(crop(mask, {}, {1, 0, 5, 4}, 4), middle);
  // The picture resized by 3 and 2, and the box with it.
  EXPECT_EQ(crop(mask, {3, 2, false, 10}, {3, 0, 15, 8}, 4), middle);
  // Mirrored in a picture of 10 columns, the rectangle is at x 6 … 8.
  EXPECT_EQ(crop(mask, {1, 1, true, 10}, {5, 0, 9, 4}, 4), middle);
  EXPECT_EQ(crop(mask, {1, 1, true, 10}, {6, 0, 10, 4}, 4),
            (Dense{0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(CropMask, BoxesWithoutExtentAreOnePixel) {
  const InstanceMask mask{{{0, 0, 8, 0, 8, 8, 0, 8}}, {}};
  EXPECT_EQ(crop(mask, {}, {3, 3, 3, 3}, 2), (Dense{1, 1, 1, 1}));
  EXPECT_EQ(crop(of_dense(Dense(64, 1), 8, 8), {}, {3, 3, 3, 3}, 2), (Dense{1, 1, 1, 1}));
  EXPECT_EQ(crop({}, {}, {3, 3, 5, 5}, 2), (Dense{0, 0, 0, 0}));
  Dense out(3);
  testing::message_of<Error>([&] { crop_mask(mask, {}, {0, 0, 1, 1}, 2, out); });
}

TEST(PlacedBoxes, AreScaledAndMirrored) {
  EXPECT_EQ(placed_box({1, 2, 3, 4}, {2, 3, false, 10}), (Corners{2, 6, 8, 18}));
  EXPECT_EQ(placed_box({1, 2, 3, 4}, {2, 3, true, 10}), (Corners{12, 6, 18, 18}));
  EXPECT_EQ(original_box({2, 6, 8, 18}, {2, 3, false, 10}), (Xywh{1, 2, 3, 4}));
  EXPECT_EQ(original_box({12, 6, 18, 18}, {2, 3, true, 10}), (Xywh{1, 2, 3, 4}));
}

RC_GTEST_PROP(CropMaskProperties, MirroringThePictureMirrorsTheCropOfRuns, ()) {
  const auto height = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto width = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto dense = *rc::gen::container<Dense>(static_cast<std::size_t>(height * width),
                                                rc::gen::inRange<std::uint8_t>(0, 2));
  const InstanceMask mask = of_dense(dense, height, width);
  const InstanceMask other{{}, mirrored(*mask.rle)};
  // Halves, so that all areas are exact.
  const auto half = [] { return *rc::gen::inRange(-10, 20) / 2.0; };
  const double left = half();
  const double top = half();
  const Corners box{left, top, left + 4, top + 8};
  RC_ASSERT(crop(mask, {1, 1, true, static_cast<double>(width)}, box, 4) == crop(other, {}, box, 4));
}

}  // namespace
}  // namespace refnorm
