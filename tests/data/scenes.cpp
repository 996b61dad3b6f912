#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/data/picture.h>
#include <refnorm/data/scene.h>
#include <refnorm/data/scene_set.h>
#include <refnorm/data/stamps.h>

#include "tests/data/stamp_files.h"

namespace refnorm::data {
namespace {

using namespace testing;

using Bytes = std::vector<std::uint8_t>;

Rgb plain(std::int64_t height, std::int64_t width, std::uint8_t value) {
  return {height, width, Bytes(static_cast<std::size_t>(3 * height * width), value)};
}

TEST(Scene, AThingInFrontTakesPixelsFromTheOneBehind) {
  Scene scene(plain(4, 5, 9));
  ASSERT_TRUE(scene.paste(plain_stamp(2, 3, {100, 0, 0, 255}), 0, 1, 7, 0, 0));
  ASSERT_TRUE(scene.paste(plain_stamp(2, 2, {0, 100, 0, 255}), 2, 2, 8, 0, 0));
  const auto objects = scene.objects();
  ASSERT_EQ(objects.size(), 2U);
  EXPECT_EQ(objects[0].thing, 7);
  EXPECT_EQ(objects[0].mask, (Bytes{0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(objects[0].area, 5);
  EXPECT_EQ(objects[0].box, (std::array<std::int64_t, 4>{0, 1, 3, 2}));
  EXPECT_EQ(objects[1].mask, (Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0}));
  EXPECT_EQ(objects[1].box, (std::array<std::int64_t, 4>{2, 2, 2, 2}));
  EXPECT_EQ(scene.picture().pixel(2, 2)[1], 100);
  EXPECT_EQ(scene.picture().pixel(2, 1)[0], 100);
}

TEST(Scene, AlphaUpToAHalfIsSeenButCoversNothing) {
  Scene scene(plain(1, 4, 0));
  const Rgba edge{1, 4, {255, 0, 0, 0, 255, 0, 0, 127, 255, 0, 0, 128, 255, 0, 0, 255}};
  ASSERT_TRUE(scene.paste(edge, 0, 0, 0, 1, 2));
  EXPECT_EQ(scene.objects()[0].mask, (Bytes{0, 0, 1, 1}));
  EXPECT_EQ(scene.picture().values, (Bytes{0, 0, 0, 127, 0, 0, 128, 0, 0, 255, 0, 0}));
}

TEST(Scene, WhatWouldHideTooMuchChangesNothing) {
  const Rgba square = plain_stamp(4, 4, {50, 50, 50, 255});
  Scene scene(plain(8, 8, 0));
  // 4 of 16 pixels inside.
  EXPECT_FALSE(scene.paste(square, -2, -2, 0, 0.3, 0));
  EXPECT_FALSE(scene.paste(square, 20, 0, 0, 0, 1));
  EXPECT_TRUE(scene.paste(square, -2, -2, 0, 0.25, 4));
  EXPECT_FALSE(scene.paste(square, 4, 4, 0, 0.5, 17));
  // Leaves 3 of the first one's 16: what is beyond the edge counts as hidden.
  const Scene before = scene;
  EXPECT_FALSE(scene.paste(square, 1, 1, 1, 0.25, 0));
  EXPECT_EQ(scene.picture().values, before.picture().values);
  EXPECT_EQ(scene.objects().size(), 1U);
  EXPECT_TRUE(scene.paste(square, 1, 1, 1, 0.1, 0));
  EXPECT_EQ(scene.objects()[0].area, 3);
}

// Each pixel by itself, from the last thing to the first and back: no code of the scene's.
TEST(Scene, AgreesWithPixelsPaintedOneByOne) {
  RandomStream random(3, "things");
  for (int round = 0; round < 20; ++round) {
    struct Thing {
      Rgba stamp;
      std::int64_t x, y;
    };
    const std::int64_t height = 20, width = 24;
    Rgb background = plain(height, width, 0);
    for (auto& value : background.values) value = static_cast<std::uint8_t>(random.below(256));
    Scene scene(background);
    std::vector<Thing> things;
    for (int i = 0; i < 5; ++i) {
      Thing thing{plain_stamp(3 + static_cast<std::int64_t>(random.below(12)),
                              3 + static_cast<std::int64_t>(random.below(12)), {0, 0, 0, 0}),
                  static_cast<std::int64_t>(random.below(26)) - 4,
                  static_cast<std::int64_t>(random.below(22)) - 4};
      for (auto& value : thing.stamp.values) value = static_cast<std::uint8_t>(random.below(256));
      ASSERT_TRUE(scene.paste(thing.stamp, thing.x, thing.y, i, 0, 0));
      things.push_back(std::move(thing));
    }
    const auto objects = scene.objects();
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        int top = -1;
        double colour[3];
        for (int c = 0; c < 3; ++c) colour[c] = background.pixel(y, x)[c];
        for (int i = 0; i < 5; ++i) {
          const auto& [stamp, left, above] = things[static_cast<std::size_t>(i)];
          if (y < above || x < left || y >= above + stamp.height || x >= left + stamp.width) continue;
          const std::uint8_t* pixel = stamp.pixel(y - above, x - left);
          if (pixel[3] / 255.0 > 0.5) top = i;
          for (int c = 0; c < 3; ++c)  // bytes after each thing
            colour[c] = std::round((pixel[c] * pixel[3] + colour[c] * (255 - pixel[3])) / 255.0);
        }
        for (int c = 0; c < 3; ++c) ASSERT_EQ(scene.picture().pixel(y, x)[c], colour[c]);
        for (int i = 0; i < 5; ++i) {
          const auto at = static_cast<std::size_t>(y * width + x);
          ASSERT_EQ(objects[static_cast<std::size_t>(i)].mask[at], i == top ? 1 : 0);
        }
      }
    }
  }
}

/// Every file below a folder by its path within it.
std::map<std::string, std::string> files_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file())
      files[entry.path().lexically_relative(folder).string()] = read_file(entry.path());
  }
  return files;
}

class SceneSet : public ::testing::Test {
 protected:
  /// Of both categories, the stamps that are held out are blue, the others red.
  SceneSet() {
    put_stamps(stamps_, {"birds", "trees"}, 30, {230, 0, 0, 255});
    for (const StampCategory& category : split_stamps(list_stamps(stamps_.path(), 30)).second) {
      for (const std::string& file : category.files)
        put(stamps_, file, png_of(ellipse(28, 33, {0, 0, 230, 255})));
    }
    options_.train = 12;
    options_.val = 5;
    options_.side = 120;
  }

  Json draw(const std::string& to) {
    made_ = to;
    return write_scene_set(stamps_.path(), folder_ / to, options_);
  }
  Json annotations(const std::string& part) const {
    return read_json(folder_ / made_ / "annotations" / ("instances_" + part + ".json"));
  }

  /// Ones of the mask, [height][width].
  static std::vector<Bytes> decoded(const Json& segmentation) {
    const auto height = segmentation["size"][0].get<std::size_t>();
    const auto width = segmentation["size"][1].get<std::size_t>();
    std::vector<Bytes> mask(height, Bytes(width));
    std::size_t place = 0;
    std::uint8_t value = 0;
    for (const Json& run : segmentation["counts"]) {
      for (auto left = run.get<std::size_t>(); left > 0; --left, ++place)
        mask.at(place % height).at(place / height) = value;
      value = 1 - value;
    }
    EXPECT_EQ(place, height * width);
    return mask;
  }

  /// Whether the mask has all pixels up to two rows and columns away: neither a soft edge nor what JPEG mixes
  /// of two colours reaches there.
  static bool is_inside(const std::vector<Bytes>& mask, std::size_t y, std::size_t x) {
    if (y < 2 || x < 2 || y + 2 >= mask.size() || x + 2 >= mask[y].size()) return false;
    for (std::size_t row = y - 2; row <= y + 2; ++row) {
      for (std::size_t column = x - 2; column <= x + 2; ++column) {
        if (mask[row][column] == 0) return false;
      }
    }
    return true;
  }

  /// Mean red, green and blue inside the mask, or nothing where it is thin.
  static std::optional<std::array<double, 3>> mean_colour(const Picture& picture,
                                                          const std::vector<Bytes>& mask) {
    std::array<double, 3> sums{};
    double count = 0;
    for (std::size_t y = 0; y < mask.size(); ++y) {
      for (std::size_t x = 0; x < mask[y].size(); ++x) {
        if (!is_inside(mask, y, x)) continue;
        ++count;
        const std::size_t at = 3 * (y * mask[y].size() + x);
        for (std::size_t c = 0; c < 3; ++c) sums[c] += picture.values[at + c];
      }
    }
    if (count < 20) return std::nullopt;
    for (double& sum : sums) sum /= count;
    return sums;
  }

  TemporaryFolder stamps_, folder_;
  SceneSetOptions options_;
  std::string made_;
};

TEST_F(SceneSet, IsInCocosFormat) {
  const Json made = draw("a");
  EXPECT_EQ(made["categories"], 2);
  for (const std::string part : {"train", "val"}) {
    const Json all = annotations(part);
    EXPECT_EQ(all["categories"][1], (Json{{"id", 2}, {"name", "trees"}, {"supercategory", "stamp"}}));
    EXPECT_EQ(all["images"].size(), part == "train" ? 12U : 5U);
    EXPECT_EQ(all["annotations"].size(), made[part + "_objects"].get<std::size_t>());
    EXPECT_GE(all["annotations"].size(), all["images"].size());
    std::map<int, Json> images;
    for (const Json& image : all["images"]) {
      images[image["id"]] = image;
      const Picture picture = read_picture(folder_ / made_ / part / image["file_name"].get<std::string>());
      EXPECT_EQ(picture.height, image["height"]);
      EXPECT_EQ(picture.width, image["width"]);
      EXPECT_TRUE(picture.width >= 96 && picture.width <= 120) << picture.width;
      EXPECT_TRUE(picture.height >= 72 && picture.height <= 96) << picture.height;
    }
    std::set<int> ids;
    for (const Json& object : all["annotations"]) {
      ids.insert(object["id"].get<int>());
      EXPECT_EQ(object["iscrowd"], 0);
      const Json& image = images.at(object["image_id"].get<int>());
      EXPECT_EQ(object["segmentation"]["size"], (Json{image["height"], image["width"]}));
    }
    EXPECT_EQ(ids.size(), all["annotations"].size());
  }
}

TEST_F(SceneSet, MasksAreOfWhatCanBeSeenAndBoxesFitThem) {
  options_.held_out = true;
  draw("a");
  for (const std::string part : {"train", "val"}) {
    const Json all = annotations(part);
    std::map<int, std::vector<std::vector<Bytes>>> of_image;
    std::size_t looked_at = 0;
    for (const Json& object : all["annotations"]) {
      const auto mask = decoded(object["segmentation"]);
      std::int64_t area = 0, top = 1000, left = 1000, bottom = -1, right = -1;
      for (std::int64_t y = 0; y < static_cast<std::int64_t>(mask.size()); ++y) {
        for (std::int64_t x = 0; x < static_cast<std::int64_t>(mask[0].size()); ++x) {
          if (mask[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] == 0) continue;
          ++area;
          top = std::min(top, y);
          bottom = std::max(bottom, y);
          left = std::min(left, x);
          right = std::max(right, x);
        }
      }
      EXPECT_EQ(object["area"], area);
      EXPECT_EQ(object["bbox"], (Json{left, top, right - left + 1, bottom - top + 1}));
      // Where a mask is, the picture shows the stamp: red ones to train with, blue ones held out.
      const auto& image = all["images"][object["image_id"].get<std::size_t>() - 1];
      const auto colour =
          mean_colour(read_picture(folder_ / "a" / part / image["file_name"].get<std::string>()), mask);
      if (colour) {
        ++looked_at;
        EXPECT_NEAR((*colour)[part == "train" ? 0 : 2], 230.0 / 255, 0.05);
        EXPECT_NEAR((*colour)[part == "train" ? 2 : 0], 0, 0.05);
      }
      for (const auto& other : of_image[object["image_id"].get<int>()]) {
        for (std::size_t y = 0; y < mask.size(); ++y) {
          for (std::size_t x = 0; x < mask[y].size(); ++x) ASSERT_LE(mask[y][x] + other[y][x], 1);
        }
      }
      of_image[object["image_id"].get<int>()].push_back(mask);
    }
    EXPECT_GT(3 * looked_at, all["annotations"].size());
  }
}

TEST_F(SceneSet, TheSameOptionsMakeTheSameFiles) {
  draw("a");
  draw("b");
  EXPECT_TRUE(files_in(folder_ / "a") == files_in(folder_ / "b"));
  options_.seed = 2;
  draw("c");
  EXPECT_NE(files_in(folder_ / "a").at("train/000001.jpg"), files_in(folder_ / "c").at("train/000001.jpg"));
  // More pictures do not change those there are.
  options_ = {1, 14, 5, 120, false};
  draw("d");
  EXPECT_EQ(files_in(folder_ / "a").at("train/000012.jpg"), files_in(folder_ / "d").at("train/000012.jpg"));
  EXPECT_EQ(files_in(folder_ / "a").at("annotations/instances_val.json"),
            files_in(folder_ / "d").at("annotations/instances_val.json"));
}

TEST_F(SceneSet, OptionsThatCannotBe) {
  options_.val = 0;
  EXPECT_TRUE(contains(user_error_of([&] { draw("a"); }), "12 for training and 0 for validation"));
  options_ = {1, 1, 1, 63, false};
  EXPECT_TRUE(contains(user_error_of([&] { draw("a"); }), "63 pixels, expected 64 to 4096"));
}

}  // namespace
}  // namespace refnorm::data
