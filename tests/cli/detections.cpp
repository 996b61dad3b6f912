// refnorm eval of annotations and detections.
#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/program.h"

namespace refnorm {
namespace {

using namespace testing;

std::string golden(const std::string& name) {
  return REFNORM_SOURCE "/tests/coco/small/" + name;
}

Words evaluate(const std::string& annotations, const std::string& detections) {
  return {"eval", "--annotations", annotations, "--detections", detections};
}

class Detections : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    write_file(folder_ / name, text);
    return (folder_ / name).string();
  }

  TemporaryFolder folder_;
  const std::string truth_ = golden("instances.json");
};

TEST_F(Detections, FiguresOfTheKindThatIsThere) {
  const Json expected = read_json(golden("expected.json"));
  for (const std::string kind : {"bbox", "segm"}) {
    const Json found = json_of(evaluate(truth_, golden("detections_" + kind + ".json")) + Words{"--json"});
    EXPECT_FALSE(found.contains(kind == "bbox" ? "segm" : "bbox"));
    for (std::size_t i = 0; i < 12; ++i) {
      const std::string name = expected.at(kind).at("names")[i];
      EXPECT_NEAR(found.at(kind).at(name).get<double>(), expected.at(kind).at("values")[i].get<double>(),
                  1e-9);
    }
    EXPECT_FALSE(found.at(kind).contains("categories"));
  }
}

TEST_F(Detections, ATableForPeople) {
  const Ended ended = run_program(evaluate(truth_, golden("detections_bbox.json")) + Words{"--per-category"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_TRUE(contains(ended.out, "172 detections"));
  EXPECT_TRUE(
      contains(ended.out,
               "\nbbox     AP   AP50   AP75    APs    APm    APl    AR1   AR10  AR100    ARs    ARm    ARl\n"
               "all   15.86  28.54  14.47 "))
      << ended.out;
  EXPECT_TRUE(contains(ended.out, "\nc27    6.96 ")) << ended.out;
}

TEST_F(Detections, BothKindsAndUnknownCategories) {
  Json all = read_json(golden("detections_segm.json"));
  for (Json& one : all) one["bbox"] = {0, 0, 10, 10};
  all[0]["category_id"] = 1000;
  const Json found =
      json_of(evaluate(truth_, file("both.json", all.dump())) + Words{"--json", "--per-category"});
  EXPECT_TRUE(found.contains("bbox"));
  EXPECT_EQ(found.at("segm").at("categories").size(), 4U);
  EXPECT_EQ(found.at("detections_left_out"), 1);
  EXPECT_TRUE(contains(run_program(evaluate(truth_, file("both.json", all.dump()))).out,
                       "1 detections are of categories that the annotations do not have"));
}

TEST_F(Detections, WrongFiles) {
  const std::string boxes = golden("detections_bbox.json");
  const auto error = [&](const std::string& annotations, const std::string& detections) {
    return error_of(evaluate(annotations, detections));
  };
  EXPECT_TRUE(contains(error(boxes, boxes), "detections_bbox.json: is a list, expected an object"));
  EXPECT_TRUE(contains(error(truth_, truth_), "instances.json: is an object, expected a list"));
  EXPECT_TRUE(contains(error(truth_, file("none.json", "[]")), "none.json: has no detections"));
  EXPECT_TRUE(contains(error(truth_, file("cut.json", "[{\"image_id\": 1000, ")),
                       "cut.json: not valid JSON at byte 21"))
      << "it has 20";
  EXPECT_TRUE(contains(error(truth_, (folder_ / "missing.json").string()), "missing.json: cannot be read"));
  const auto one = [&](const std::string& text) { return error(truth_, file("one.json", "[" + text + "]")); };
  EXPECT_TRUE(contains(one(R"({"image_id": 1, "category_id": 27, "score": 1, "bbox": [1, 1, 2, 2]})"),
                       "one.json: detection 1: image_id 1 is not in the annotations"));
  EXPECT_TRUE(contains(one(R"({"image_id": 1000, "category_id": 27, "score": 1, "bbox": [1, 1, 2]})"),
                       "one.json: detection 1: 'bbox' is not a list of four numbers"));
  EXPECT_TRUE(contains(one(R"({"image_id": 1000, "category_id": 27, "score": 1,
                              "segmentation": {"size": [2, 2], "counts": [4]}})"),
                       "one.json: detection 1: its mask is of 2 x 2 pixels, image 1000 of 320 x 402"));
  Json damaged = read_json(truth_);
  damaged["annotations"][0]["category_id"] = 5;
  damaged["annotations"][1]["area"] = -1;
  EXPECT_TRUE(contains(error(file("damaged.json", damaged.dump()), boxes), "damaged.json: annotation "));
  damaged = read_json(truth_);
  damaged["annotations"][0].erase("segmentation");
  EXPECT_TRUE(
      contains(error(file("damaged.json", damaged.dump()), golden("detections_segm.json")),
               "damaged.json: annotation 1: has no 'segmentation', expected one, since masks are evaluated"));
}

TEST_F(Detections, OptionsThatDoNotGoTogether) {
  EXPECT_EQ(error_of(Words{"eval", "--annotations", truth_}),
            "--detections: is missing, expected it with the other file");
  EXPECT_EQ(error_of(Words{"eval", "--detections", truth_}),
            "--annotations: is missing, expected it with the other file");
  EXPECT_TRUE(contains(error_of(evaluate(truth_, truth_) + Words{"--checkpoint", "best"}),
                       "--checkpoint: is of runs"));
  EXPECT_TRUE(contains(error_of(Words{"eval"} + Words{"--per-category", "runs/x"}),
                       "--per-category: is of detections"));
  EXPECT_TRUE(contains(error_of(Words{"eval"}), "run: is missing, expected a run folder"));
}

TEST(BenchCoco, TimesGeneratedFiles) {
  const TemporaryFolder folder;
  const Json found = json_of(Words{"bench", "coco", "--pictures", "20", "--objects", "150", "--detections",
                                   "600", "--rounds", "1", "--json", "--keep", folder.path().string()});
  for (const char* step : {"read annotations", "read detections", "evaluate boxes", "evaluate masks"})
    EXPECT_EQ(found.at("seconds").at(step).size(), 1U);
  // What it generates is sound, and a detector of this kind finds something and misses something.
  const Json figures =
      json_of(evaluate((folder / "instances.json").string(), (folder / "detections.json").string()) +
              Words{"--json"});
  EXPECT_EQ(figures.at("detections_read"), 600);
  for (const char* kind : {"bbox", "segm"}) {
    EXPECT_GT(figures.at(kind).at("AP50").get<double>(), 0.1);
    EXPECT_LT(figures.at(kind).at("AP").get<double>(), 0.9);
  }
}

}  // namespace
}  // namespace refnorm
