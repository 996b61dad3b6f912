// Polygons with the masks that COCO's own tools (pycocotools) make of them.
#include <gtest/gtest.h>

#include <refnorm/base/json.h>
#include <refnorm/base/polygon.h>

namespace refnorm {
namespace {

struct Case {
  std::int64_t height, width, area;
  std::vector<Polygon> polygons;
  std::string text;
  Xywh box;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Json& one : read_json(REFNORM_COCO_CASES "/masks.json")) {
    all.push_back({one.at("height"), one.at("width"), one.at("area"), one.at("polygons"),
                   one.at("rle").at("counts"), one.at("bbox")});
  }
  return all;
}

TEST(ReferenceMasks, PolygonsAreRasterizedToTheByte) {
  const std::vector<Case> all = cases();
  ASSERT_EQ(all.size(), 60U);
  for (const Case& one : all) {
    const Rle mask = rasterize(one.polygons, one.height, one.width);
    EXPECT_EQ(rle_text(mask), one.text);
    EXPECT_EQ(mask_area(mask), one.area);
    EXPECT_EQ(mask_box(mask), one.box);
  }
}

TEST(ReferenceMasks, TextsAreReadAndWritten) {
  for (const Case& one : cases()) {
    const Rle mask = rle_from_text(one.text, one.height, one.width, "golden");
    EXPECT_EQ(rle_text(mask), one.text);
    EXPECT_EQ(encode_mask(decode_mask(mask), one.height, one.width), mask);
  }
}

}  // namespace
}  // namespace refnorm
