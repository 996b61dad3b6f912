#include <array>
#include <csignal>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/random.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/data/picture.h>

#include "tests/cli/program.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

constexpr int kWidth = 96;
constexpr int kHeight = 80;

/// A bright rectangle, and a red diamond, both of which the annotations have as polygons.
struct Shape {
  int category, x, y, width, height;

  bool covers(int column, int row) const {
    const double u = (column + 0.5 - x) / width;
    const double v = (row + 0.5 - y) / height;
    if (category == 7) return u > 0 && u < 1 && v > 0 && v < 1;
    return std::abs(u - 0.5) + std::abs(v - 0.5) < 0.5;
  }
  Json polygon() const {
    if (category == 7) return {x, y, x + width, y, x + width, y + height, x, y + height};
    const double cx = x + width / 2.0;
    const double cy = y + height / 2.0;
    return {cx, y, x + width, cy, cx, y + height, x, cy};
  }
};

std::string picture(const std::vector<Shape>& shapes, std::uint64_t seed) {
  RandomStream random(seed, "shapes");
  std::string bytes = fmt::format("P6\n{} {}\n255\n", kWidth, kHeight);
  for (int row = 0; row < kHeight; ++row) {
    for (int column = 0; column < kWidth; ++column) {
      std::array<int, 3> colour{60, 80, 60};
      for (const Shape& shape : shapes) {
        if (shape.covers(column, row))
          colour = shape.category == 7 ? std::array{220, 220, 220} : std::array{230, 30, 30};
      }
      for (const int value : colour)
        bytes += static_cast<char>(value - 20 + static_cast<int>(random.below(40)));
    }
  }
  return bytes;
}

/// Four pictures of one or two shapes, the same for training and as the test, in COCO's layout.
class Objects : public ::testing::Test {
 protected:
  Objects() {
    const std::vector<std::vector<Shape>> pictures{{{7, 8, 10, 36, 30}, {9, 52, 34, 36, 36}},
                                                   {{9, 10, 30, 40, 40}},
                                                   {{7, 50, 8, 34, 44}},
                                                   {{7, 10, 36, 32, 36}, {9, 50, 8, 38, 34}}};
    for (const char* part : {"train", "val", "annotations"}) make_folder(folder_ / "data" / part);
    Json images = Json::array();
    Json annotations = Json::array();
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      const std::string name = std::to_string(i) + ".ppm";
      images.push_back({{"id", 100 + i}, {"width", kWidth}, {"height", kHeight}, {"file_name", name}});
      for (const char* part : {"train", "val"})
        write_file(folder_ / "data" / part / name, picture(pictures[i], i));
      for (const Shape& shape : pictures[i]) {
        annotations.push_back(
            {{"id", annotations.size() + 1},
             {"image_id", 100 + i},
             {"category_id", shape.category},
             {"bbox", {shape.x, shape.y, shape.width, shape.height}},
             {"area", shape.category == 7 ? shape.width * shape.height : shape.width * shape.height / 2},
             {"iscrowd", 0},
             {"segmentation", Json::array({shape.polygon()})}});
      }
    }
    const Json file{{"images", images},
                    {"annotations", annotations},
                    {"categories", {{{"id", 7}, {"name", "block"}}, {{"id", 9}, {"name", "diamond"}}}}};
    for (const char* part : {"train", "val"}) write_json(annotations_of(part), file);
    write_file(folder_ / "recipe.toml", R"(name = "shapes"
[data]
kind = "coco"
path = ")" + path("data") + R"("
validation = 0
short_side = 80
long_side = 96
[model]
kind = "mask_rcnn-r18-c4"
[detection]
frozen_stages = 0
anchor_sizes = [32, 48]
anchors = 48
regions = 16
region_size = 4
proposals_before = 100
proposals = 30
test_proposals_before = 60
test_proposals = 20
mask_channels = 32
[train]
epochs = 1
batch_size = 2
lr = 0.03
weight_decay = 0
schedule = "cosine"
clip_norm = 5
checkpoint_every = 3
log_every = 1
[reference]
size = 2
[run]
threads = 2
[[arm]]
norm = "rbn"
)");
  }

  fs::path annotations_of(const std::string& part) const {
    return folder_ / "data" / "annotations" / ("instances_" + part + ".json");
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Words train(const std::string& out) const { return {"train", path("recipe.toml"), "--out", path(out)}; }
  static Words set(const std::string& what) { return {"--set", what}; }
  static Json trained(const Words& words) { return json_of(words + Words{"--json"}); }

  TemporaryFolder folder_;
};

// The same pictures are tested: whoever learns can know them by heart.
TEST_F(Objects, AreLearnedFoundAndDrawn) {
  const Json result = trained(train("run") + set("train.epochs=90") + set("arm=[{norm=\"gn:16\"}]"));
  EXPECT_EQ(result.at("setup").at("training_pictures"), 4);
  EXPECT_EQ(result.at("setup").at("categories"), 2);
  const Json& figures = result.at("detection");
  EXPECT_GT(figures.at("box AP50").get<double>(), 90);
  EXPECT_GT(figures.at("mask AP50").get<double>(), 90);
  EXPECT_NEAR(result.at("test_error_pct").get<double>(), 100 - figures.at("box AP").get<double>(), 1e-9);

  // Figures of the file that was left, by the command that knows nothing of the run.
  const Json alone = json_of({"eval", "--annotations", annotations_of("val").string(), "--detections",
                              path("run/detections.json"), "--json"});
  EXPECT_NEAR(100 * alone.at("bbox").at("AP").get<double>(), figures.at("box AP").get<double>(), 1e-9);
  EXPECT_NEAR(100 * alone.at("segm").at("AP75").get<double>(), figures.at("mask AP75").get<double>(), 1e-9);
  const Json again = json_of({"eval", path("run"), "--json"});
  EXPECT_EQ(again.at("detection"), figures);

  const Json found = json_of({"predict", path("run"), path("data/val/1.ppm"), path("data/val/2.ppm"),
                              "--draw", path("drawn"), "--results", path("results.json"), "--annotations",
                              annotations_of("val").string(), "--json"});
  ASSERT_EQ(found.size(), 2U);
  ASSERT_FALSE(found[0].at("objects").empty());
  EXPECT_EQ(found[0].at("objects")[0].at("class"), "diamond");
  EXPECT_EQ(found[1].at("objects")[0].at("class"), "block");
  // [50, 8, 34, 44] is the block; corners within an eighth of its size.
  const Json& box = found[1].at("objects")[0].at("box");
  EXPECT_NEAR(box[0].get<double>(), 50, 5);
  EXPECT_NEAR(box[3].get<double>(), 44, 6);
  EXPECT_TRUE(read_file(path("drawn/1.png")).starts_with("\x89PNG"));
  const Json results = read_json(path("results.json"));
  EXPECT_EQ(results.at(0).at("image_id"), 101);
  EXPECT_EQ(results.at(0).at("category_id"), 9);

  // With nothing found above the score, what is drawn on the truth is the truth: the block's left edge, grey,
  // and white within it, in a picture that is neither.
  const Words on_truth{"predict",   path("run"), path("data/val/2.ppm"), "--draw", path("true"),
                       "--draw-on", "truth"};
  const Json of_truth =
      json_of(on_truth + Words{"--score", "1", "--annotations", annotations_of("val").string(), "--json"});
  ASSERT_TRUE(of_truth[0].at("objects").empty()) << of_truth;
  const data::Picture drawn = data::read_picture(path("true/2.png"));
  const std::int64_t factor = drawn.height / data::read_picture(path("data/val/2.ppm")).height;
  const auto pixel = [&](std::int64_t x, std::int64_t y) {
    return drawn.values[static_cast<std::size_t>((y * factor * drawn.width + x * factor) * drawn.channels)];
  };
  EXPECT_NEAR(pixel(50, 30), 128.0 / 255, 0.01);
  EXPECT_EQ(pixel(60, 25), 1);
  // The same picture once more has its truth, too.
  json_of(on_truth + Words{path("data/val/2.ppm"), "--score", "1", "--annotations",
                           annotations_of("val").string(), "--json"});
  EXPECT_EQ(read_file(path("true/2-2.png")), read_file(path("true/2.png")));
  EXPECT_TRUE(contains(error_of(on_truth), "--draw-on truth: expected --annotations FILE.json"));
  EXPECT_TRUE(contains(error_of({"predict", path("run"), path("data/val/2.ppm"), "--draw-on", "truth"}),
                       "--draw-on: says what --draw draws on, and there is no --draw"));
}

// recipes/tuxpaint_crops.py: 3 blocks and 3 diamonds a part; of each picture the first object gives a box
// elsewhere, which may find no room. The script ends where its folder is there already.
TEST_F(Objects, AreCutOutOfTheirPictures) {
  if (!Subprocess({REFNORM_PYTHON, "-c", "import PIL"}).wait().ok()) GTEST_SKIP() << "no Pillow here";
  const Words command{REFNORM_PYTHON, REFNORM_SOURCE "/recipes/tuxpaint_crops.py", path("data"),
                      path("crops")};
  Subprocess python(command, path("said"));
  ASSERT_TRUE(python.wait().ok()) << read_file(path("said"));
  const auto count = [&](const std::string& folder) {
    return std::distance(fs::directory_iterator(folder_ / "crops" / folder), {});
  };
  for (const char* part : {"train/", "val/"}) {
    EXPECT_EQ(count(std::string(part) + "block"), 3);
    EXPECT_EQ(count(std::string(part) + "diamond"), 3);
    EXPECT_GE(count(std::string(part) + "nothing"), 1);
  }
  // [50, 8, 34, 44] with a tenth of 44 on each side.
  const data::Picture block = data::read_picture(folder_ / "crops/train/block/102-0.jpg");
  EXPECT_NEAR(block.width, 34 + 8.8, 1);
  EXPECT_NEAR(block.height, 44 + 8.8, 1);
  EXPECT_FALSE(Subprocess(command, path("said")).wait().ok());
}

TEST_F(Objects, GoOnToTheSameBitsAfterAStop) {
  const Words longer = set("train.epochs=8") + set("data.workers=1");
  trained(train("whole") + longer);
  Running running(train("stopped") + longer);
  wait_until([&] { return running.ended() || fs::exists(path("stopped/last")); });
  running.send(SIGINT);
  EXPECT_EQ(running.wait().code, 1);
  trained(train("stopped") + longer + Words{"--resume"});
  expect_same_files(timeless_files_in(path("whole")), timeless_files_in(path("stopped")));
}

// What is found in the other pictures is the same, so its figures by those annotations are what is expected.
TEST_F(Objects, AreNotMissedInPicturesThatCannotBeRead) {
  write_file(folder_ / "data/train/3.ppm", "P6");
  write_file(folder_ / "data/val/1.ppm", "no picture");
  const Words skip = set("data.on_error=skip");
  const Json result = trained(train("run") + skip + set("train.epochs=40") + set("arm=[{norm=\"gn:16\"}]"));
  const Json& unreadable = result.at("unreadable");
  EXPECT_EQ(unreadable.at("train"), 1);
  EXPECT_EQ(unreadable.at("val"), 1);
  EXPECT_EQ(unreadable.at("files").at(0).at("file"), "train/3.ppm");
  EXPECT_EQ(unreadable.at("files").at(1).at("file"), "val/1.ppm");
  EXPECT_EQ(read_json(path("run/unreadable.json")), unreadable);

  Json file = read_json(annotations_of("val"));
  file["images"].erase(1);
  std::erase_if(file["annotations"].get_ref<Json::array_t&>(),
                [](const Json& one) { return one.at("image_id") == 101; });
  write_json(folder_ / "three.json", file);
  const Json three = json_of(
      {"eval", "--annotations", path("three.json"), "--detections", path("run/detections.json"), "--json"});
  EXPECT_GT(three.at("bbox").at("AP").get<double>(), 0) << "else nothing is told apart";
  EXPECT_EQ(result.at("detection_figures").at("bbox").at("AP"), three.at("bbox").at("AP"));
  EXPECT_EQ(result.at("detection_figures").at("segm").at("AP"), three.at("segm").at("AP"));

  const Json again = json_of({"eval", path("run"), "--json"});
  EXPECT_EQ(again.at("unreadable").at("val"), 1);
  EXPECT_EQ(again.at("detection_figures").at("bbox").at("AP"), three.at("bbox").at("AP"));
}

TEST_F(Objects, AreComparedByAveragePrecision) {
  const Words compare{"compare", path("recipe.toml"), "--seeds", "1", "--jobs", "1", "--out", path("pair")};
  const Json result =
      json_of(compare + set("arm=[{name=\"frozen\",norm=\"frozen_bn\"},{name=\"BN\",norm=\"bn\"}]") +
              Words{"--json"});
  EXPECT_EQ(result.at("arms").size(), 2U);
  const std::string table = read_file(path("pair/table.md"));
  EXPECT_TRUE(contains(table, "mask AP75")) << table;
  EXPECT_TRUE(contains(table, "100 - box AP")) << table;
  EXPECT_TRUE(contains(read_file(path("pair/report.html")), "Average precision"));
}

TEST_F(Objects, SayWhatIsWrong) {
  const auto error = [&](const Words& more) { return error_of(train("none") + more); };
  EXPECT_TRUE(contains(error(set("model.kind=mask_rcnn-r51-c4")), "suggest") ||
              contains(error(set("model.kind=mask_rcnn-r51-c4")), "mask_rcnn-r50-c4"));
  EXPECT_TRUE(contains(error(set("data.train=train2017")), "instances_train2017.json"));
  EXPECT_TRUE(contains(error(set("data.kind=mnist")), "data.kind"));
  EXPECT_TRUE(contains(error(set("arm=[{norm=\"rbn:live\"}]")), "live"));
  EXPECT_TRUE(contains(error(set("sampler.kind=pk:2")), "sampler.kind"));
  EXPECT_TRUE(contains(error(set("reference.size=100")), "reference.size"));
  EXPECT_TRUE(contains(error(set("data.validation=4")), "data.validation"));
  EXPECT_TRUE(contains(error(set("measure.fgsm=0.1")), "measure.fgsm"));
  EXPECT_TRUE(contains(error(set("data.short_side=100")), "data.short_side"));
  EXPECT_FALSE(fs::exists(path("none"))) << "nothing stays behind";

  fs::remove(path("data/train/2.ppm"));
  EXPECT_TRUE(contains(error({}), "2.ppm"));
}

}  // namespace
}  // namespace refnorm
