#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/data/coco_instances.h>

#include "tests/base/helpers.h"
#include "tests/base/mutate.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;

/// Two pictures of 4 wide and 3 high; a polygon of two parts, an RLE of each kind, a box alone.
Json sound() {
  return Json::parse(R"({
    "images": [{"id": 20, "height": 3, "width": 4, "file_name": "b.png"},
               {"id": 10, "height": 3, "width": 4, "file_name": "a.png"}],
    "annotations": [
      {"id": 5, "image_id": 20, "category_id": 7, "bbox": [0, 0, 2, 3], "area": 4.5, "iscrowd": 0,
       "segmentation": [[0, 0, 2, 0, 2, 2], [0, 2, 2, 2, 2, 3, 0, 3]]},
      {"id": 4, "image_id": 10, "category_id": 3, "bbox": [0, 0, 4, 3], "area": 6, "iscrowd": 1,
       "segmentation": {"size": [3, 4], "counts": [1, 6, 5]}},
      {"id": 3, "image_id": 10, "category_id": 7, "bbox": [0, 0, 4, 3], "area": 6,
       "segmentation": {"size": [3, 4], "counts": "165"}},
      {"id": 2, "image_id": 10, "category_id": 7, "bbox": [1, 1, 1, 1], "area": 1, "iscrowd": 0,
       "segmentation": []}],
    "categories": [{"id": 7, "name": "seven"}, {"id": 3, "name": "three"}]})");
}

CocoInstances parsed(const Json& json) {
  return parse_coco_instances(json.dump(), "f.json");
}

std::vector<std::string> problems(const Json& json) {
  std::vector<std::string> all;
  for (const CocoProblem& problem : parsed(json).problems) all.push_back(problem.what);
  return all;
}

TEST(CocoInstances, AreRead) {
  const CocoInstances all = parsed(sound());
  EXPECT_TRUE(all.problems.empty());
  ASSERT_EQ(all.images.size(), 2U);
  EXPECT_EQ(all.images[0].id, 10) << "by id";
  EXPECT_EQ(all.images[0].file_name, "a.png");
  EXPECT_EQ(all.images[1].width, 4);
  EXPECT_EQ(all.categories[1].name, "seven");
  ASSERT_EQ(all.annotations.size(), 4U);
  const CocoAnnotation& first = all.annotations[0];
  EXPECT_EQ(first.id, 5) << "in the file's order";
  EXPECT_EQ(first.image, 1);
  EXPECT_EQ(first.category, 1);
  EXPECT_EQ(first.box, (Xywh{0, 0, 2, 3}));
  EXPECT_EQ(first.area, 4.5);
  EXPECT_FALSE(first.crowd);
  EXPECT_EQ(first.mask.polygons, (std::vector<Polygon>{{0, 0, 2, 0, 2, 2}, {0, 2, 2, 2, 2, 3, 0, 3}}));
  EXPECT_TRUE(all.annotations[1].crowd);
  const Rle runs{3, 4, {1, 6, 5}};
  EXPECT_EQ(all.annotations[1].mask.rle, runs);
  EXPECT_EQ(all.annotations[2].mask.rle, runs) << "'1', '6', '5'";
  EXPECT_TRUE(all.annotations[3].mask.empty());
}

TEST(CocoInstances, TheOrderOfListsDoesNotMatter) {
  Json other;
  const Json json = sound();
  for (const char* key : {"annotations", "categories", "images"}) other[key] = json.at(key);
  EXPECT_TRUE(parsed(other).problems.empty());
  EXPECT_EQ(parsed(other).annotations[0].image, 1);
}

/// The one problem after the first annotation is changed.
std::string after(const std::string& key, const Json& value, bool left_out = true) {
  Json json = sound();
  json["annotations"][0][key] = value;
  const CocoInstances all = parsed(json);
  if (all.problems.size() != 1) return "not one problem";
  EXPECT_EQ(all.problems[0].left_out, left_out);
  EXPECT_EQ(all.annotations.size(), left_out ? 3U : 4U);
  EXPECT_EQ(all.annotations[0].sound, left_out);
  return all.problems[0].what;
}

TEST(CocoInstances, ProblemsOfAnnotations) {
  EXPECT_EQ(after("image_id", 11), "annotation 5: its image_id 11 is not in the file, or left out");
  EXPECT_EQ(after("category_id", 4), "annotation 5: its category_id 4 is not in the file, or left out");
  EXPECT_EQ(after("category_id", "7"), "annotation 5: 'category_id' is not a whole number");
  EXPECT_EQ(after("image_id", 20.5), "annotation 5: 'image_id' is not a whole number");
  EXPECT_EQ(after("id", 4), "annotation 4: there is more than one of that id");
  EXPECT_EQ(after("id", nullptr), "annotation at place 1: 'id' is not a whole number");
  EXPECT_EQ(after("bbox", {1, 2, 3}), "annotation 5: 'bbox' is not a list of four numbers");
  EXPECT_EQ(after("bbox", {1, 2, 3, nullptr}), "annotation 5: 'bbox' is not a list of four numbers");
  EXPECT_EQ(after("bbox", {1, 2, -3, 1}), "annotation 5: its box is -3 wide and 1 high");
  EXPECT_EQ(after("bbox", {1, 2, 1e300, 1}), "annotation 5: its box has 1e+300, beyond any picture");
  EXPECT_EQ(after("area", -1), "annotation 5: its area is -1");
  EXPECT_EQ(after("area", "1"), "annotation 5: 'area' is not a number");
  EXPECT_EQ(after("iscrowd", 2), "annotation 5: 'iscrowd' is neither 0 nor 1");
  EXPECT_EQ(
      after("segmentation", {{1, 2, 3, 4}}),
      "annotation 5: a polygon of its segmentation has 4 numbers, expected x and y of at least 3 corners");
  EXPECT_EQ(
      after("segmentation", {{1, 2, 3, 4, 5, 6, 7}}),
      "annotation 5: a polygon of its segmentation has 7 numbers, expected x and y of at least 3 corners");
  EXPECT_EQ(after("segmentation", {1, 2, 3, 4, 5, 6}),
            "annotation 5: 'segmentation' is neither a list of polygons nor an RLE");
  EXPECT_EQ(after("segmentation", {{"size", {3, 4}}}), "annotation 5: has no 'counts'");
  EXPECT_EQ(after("segmentation", {{"counts", {12}}}), "annotation 5: has no 'size'");
  EXPECT_EQ(after("segmentation", {{"size", {3, 4, 1}}, {"counts", {12}}}),
            "annotation 5: the 'size' of its RLE is not a list of two numbers");
  EXPECT_EQ(after("segmentation", {{"size", {3, 4}}, {"counts", {11}}}),
            "annotation 5: the RLE's runs are 11 pixels, expected the 12 of its size, 3 x 4");
  EXPECT_EQ(after("segmentation", {{"size", {3, 4}}, {"counts", {1.5, 10.5}}}),
            "annotation 5: the RLE has 1.5, expected whole numbers");
  EXPECT_EQ(after("segmentation", {{"size", {3, 4}}, {"counts", nullptr}}),
            "annotation 5: the 'counts' of its RLE are neither a text nor a list of numbers");
  EXPECT_EQ(after("segmentation", {{"size", {3, 4}}, {"counts", "1!"}}),
            "annotation 5: '!' at place 2 is no character of a compressed RLE");
  EXPECT_EQ(after("segmentation", {{"size", {4, 3}}, {"counts", {12}}}),
            "annotation 5: its RLE is of 4 x 3 pixels, its picture of 3 x 4");
}

TEST(CocoInstances, DoubtfulBoxesAreKept) {
  EXPECT_EQ(after("bbox", {1, 1, 0, 1}, false), "annotation 5: its box is 0 wide and 1 high");
  EXPECT_EQ(after("bbox", {-1.5, 0, 3, 3}, false),
            "annotation 5: its box, x -1.5 to 1.5, y 0 to 3, is outside of its picture, 4 wide and 3 high");
  EXPECT_EQ(after("bbox", {0, 0, 4, 4.5}, false),
            "annotation 5: its box, x 0 to 4, y 0 to 4.5, is outside of its picture, 4 wide and 3 high");
  EXPECT_EQ(after("bbox", {-1, -1, 6, 5}, false), "not one problem") << "a pixel beyond is rounding";
}

TEST(CocoInstances, MissingKeys) {
  for (const char* key : {"id", "image_id", "category_id", "bbox", "area"}) {
    Json json = sound();
    json["annotations"][0].erase(key);
    const std::string name = key == std::string("id") ? "annotation at place 1" : "annotation 5";
    EXPECT_EQ(problems(json), (std::vector<std::string>{name + ": has no '" + key + "'"}));
  }
  Json json = sound();
  json["annotations"][0].erase("iscrowd");
  json["annotations"][0].erase("segmentation");
  EXPECT_TRUE(problems(json).empty());
  std::string twice = sound().dump();
  twice.replace(twice.find("\"area\":4.5"), 10, "\"area\":4.5,\"area\":4.5");
  EXPECT_EQ(parse_coco_instances(twice, "f").problems.at(0).what, "annotation 5: has 'area' twice");
}

TEST(CocoInstances, ProblemsOfPicturesAndCategories) {
  Json json = sound();
  json["images"][0]["width"] = 0;
  EXPECT_EQ(problems(json),
            (std::vector<std::string>{"image 20: is 0 wide and 3 high",
                                      "annotation 5: its image_id 20 is not in the file, or left out"}));
  json = sound();
  json["images"][0]["height"] = 1e15;
  EXPECT_EQ(problems(json).at(0), "image 20: 'height' is not a whole number");
  json["images"][0]["height"] = std::int64_t{1} << 60;
  EXPECT_EQ(problems(json).at(0), "image 20: is 4 wide and 1152921504606846976 high");
  json = sound();
  json["images"].push_back({{"id", 10}, {"height", 9}, {"width", 9}, {"file_name", "c.png"}});
  EXPECT_EQ(problems(json), (std::vector<std::string>{"image 10: there is more than one of that id"}));
  EXPECT_EQ(parsed(json).images[0].height, 3) << "the first stays";
  json = sound();
  json["categories"][1]["id"] = 7;
  EXPECT_EQ(problems(json).at(0), "category 7: there is more than one of that id");
  json["categories"][1] = {{"id", 3}};
  EXPECT_EQ(problems(json).at(0), "category 3: has no 'name'");
}

TEST(CocoInstances, TheFirstProblemAndTheirNumber) {
  Json json = sound();
  EXPECT_EQ(first_problem(parsed(json), "f.json", false), "");
  json["annotations"][0]["bbox"] = {1, 1, 0, 1};
  EXPECT_EQ(first_problem(parsed(json), "f.json", false),
            "f.json: annotation 5: its box is 0 wide and 1 high");
  EXPECT_EQ(first_problem(parsed(json), "f.json", true), "");
  json["annotations"][1]["area"] = -1;
  json["annotations"][2]["area"] = -2;
  EXPECT_EQ(first_problem(parsed(json), "f.json", true),
            "f.json: annotation 4: its area is -1 (and 1 more problem)");
  EXPECT_EQ(first_problem(parsed(json), "f.json", false),
            "f.json: annotation 4: its area is -1 (and 2 more problems)");
}

TEST(CocoInstances, DamagedFilesEndInAnErrorOrInProblems) {
  const std::string text = sound().dump();
  RandomStream random(7, "damage");
  for (int i = 0; i < 3000; ++i) {
    try {
      const CocoInstances all = parse_coco_instances(mutate(text, random), "f.json");
      for (const CocoAnnotation& one : all.annotations) {
        const CocoImage& image = all.images.at(static_cast<std::size_t>(one.image));
        all.categories.at(static_cast<std::size_t>(one.category));
        if (!one.mask.empty()) instance_rle(one.mask, image.height, image.width);
      }
      for (const CocoProblem& problem : all.problems) EXPECT_EQ(problem.what.find('\n'), std::string::npos);
    } catch (const UserError& error) {
      EXPECT_TRUE(std::string_view(error.what()).starts_with("f.json: ")) << error.what();
    }
  }
}

}  // namespace
}  // namespace refnorm::data
