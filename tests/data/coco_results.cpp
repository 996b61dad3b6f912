#include <cmath>

#include <gtest/gtest.h>

#include <refnorm/base/json.h>
#include <refnorm/data/coco_results.h>

#include "tests/base/helpers.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;

const char* const kBoth = R"([
  {"image_id": 1, "category_id": 2, "score": 0.25, "bbox": [1, 2.5, 3, 4],
   "segmentation": {"size": [3, 4], "counts": "165"}},
  {"image_id": 1, "category_id": 3, "score": 1, "bbox": [0, 0, 0, 4],
   "segmentation": {"size": [3, 4], "counts": [0, 12]}}])";

std::string error(const std::string& text) {
  return user_error_of([&] { parse_coco_results(text, "r.json"); });
}

TEST(CocoResults, AreRead) {
  const std::vector<CocoDetection> all = parse_coco_results(kBoth, "r.json");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].image_id, 1);
  EXPECT_EQ(all[0].category_id, 2);
  EXPECT_EQ(all[0].score, 0.25);
  EXPECT_EQ(all[0].box, (Xywh{1, 2.5, 3, 4}));
  EXPECT_EQ(all[0].mask, (Rle{3, 4, {1, 6, 5}}));
  EXPECT_EQ(all[1].mask, (Rle{3, 4, {0, 12}}));
  EXPECT_TRUE(parse_coco_results("[]", "r.json").empty());
  const auto boxes =
      parse_coco_results(R"([{"image_id": 1, "category_id": 2, "score": 0, "bbox": [1, 2, 3, 4],
                                            "segmentation": []}])",
                         "r.json");
  EXPECT_FALSE(boxes[0].mask);
}

TEST(CocoResults, AreWrittenWithoutLoss) {
  const TemporaryFolder folder;
  std::vector<CocoDetection> all = parse_coco_results(kBoth, "r.json");
  all[0].score = 1.0 / 3;
  all[0].mask = Rle{100, 100, {1000, 2, 44, 8954}};  // the third is '\' and another: 44 is 12 + 32 and 1
  write_coco_results(folder / "r.json", all);
  const std::vector<CocoDetection> again = read_coco_results(folder / "r.json");
  ASSERT_EQ(again.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again[i].score, all[i].score);
    EXPECT_EQ(again[i].box, all[i].box);
    EXPECT_EQ(again[i].mask, all[i].mask);
  }
  EXPECT_EQ(coco_results_text({}), "[]\n");
  EXPECT_EQ(coco_results_text({{1, 2, 0.5, Xywh{0, 1.5, 2, 3}, {}}}),
            "[{\"image_id\":1,\"category_id\":2,\"bbox\":[0,1.5,2,3],\"score\":0.5}]\n");
  message_of<Error>([] { coco_results_text({{1, 2, std::nan(""), Xywh{}, {}}}); });
  message_of<Error>([] { coco_results_text({{1, 2, 0, Xywh{0, 0, INFINITY, 0}, {}}}); });
}

TEST(CocoResults, WhatIsWrong) {
  const auto one = [](const std::string& rest) {
    return error(R"([{"image_id": 1, "category_id": 2, "score": 0.5, )" + rest + "}]");
  };
  EXPECT_EQ(one(R"("x": 1)"), "r.json: detection 1: has neither 'bbox' nor 'segmentation'");
  EXPECT_EQ(one(R"("bbox": [1, 2, -1, 1])"), "r.json: detection 1: its box is -1 wide and 1 high");
  EXPECT_EQ(one(R"("segmentation": [[1, 2, 3, 4, 5, 6]])"),
            "r.json: detection 1: its 'segmentation' is not an RLE, an object with 'size' and 'counts'");
  EXPECT_EQ(one(R"("segmentation": {"size": [3, 4], "counts": "1"})"),
            "r.json: detection 1: the RLE's runs are 1 pixels, expected the 12 of its size, 3 x 4");
  EXPECT_EQ(one(R"("bbox": [1, 2, 1, 1], "score": 1)"), "r.json: detection 1: has 'score' twice");
  EXPECT_EQ(error(R"([{"image_id": 1, "category_id": 2, "bbox": [1, 2, 1, 1]}])"),
            "r.json: detection 1: has no 'score'");
  Json mixed = Json::parse(kBoth);
  mixed[1].erase("segmentation");
  EXPECT_EQ(error(mixed.dump()),
            "r.json: detection 2: has no 'segmentation', and the first detection has one");
  mixed = Json::parse(kBoth);
  mixed[0].erase("bbox");
  EXPECT_EQ(error(mixed.dump()), "r.json: detection 2: has 'bbox', and the first detection has none");
  EXPECT_EQ(error(R"({"annotations": []})"), "r.json: is an object, expected a list");
}

}  // namespace
}  // namespace refnorm::data
