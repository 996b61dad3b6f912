#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/random.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/data/picture_look.h>

#include "tests/base/helpers.h"
#include "tests/data/picture_files.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;

/// Values of 0 … 255.
PictureLook in_bytes(std::int64_t size = 224, std::int64_t resize = 256) {
  return {.size = size, .resize = resize, .mean = {0, 0, 0}, .deviation = {1 / 255.0, 1 / 255.0, 1 / 255.0}};
}

/// Tasks for torchvision, which write their results to files.
class AgainstTorchvision : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Subprocess({REFNORM_PYTHON, "-W", "ignore", "-c", "import torchvision"}).wait().ok())
      GTEST_SKIP() << REFNORM_PYTHON << " cannot import torchvision (python3-torchvision)";
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string add(Json task) {
    const std::string out = path(std::to_string(tasks_.size()) + ".raw");
    task["out"] = out;
    tasks_.push_back(std::move(task));
    return out;
  }

  void run() {
    write_json(folder_ / "tasks.json", tasks_);
    const std::string log = path("log");
    Subprocess python({REFNORM_PYTHON, "-W", "ignore", REFNORM_TORCHVISION_LOOKS, path("tasks.json")}, log);
    ASSERT_TRUE(python.wait().ok()) << read_file(log);
  }

  static std::vector<float> result(const std::string& file) {
    const std::string bytes = read_file(file);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  /// Pillow rounds to bytes after each of its two passes, so that it is off by 1 at most.
  static void expect_same_picture(const std::vector<float>& ours, const std::string& file) {
    const std::vector<float> theirs = result(file);
    ASSERT_EQ(ours.size(), theirs.size());
    double largest = 0;
    double sum = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const double difference = static_cast<double>(ours[i]) - static_cast<double>(theirs[i]);
      largest = std::max(largest, std::abs(difference));
      sum += difference;
    }
    EXPECT_LT(largest, 1.05);
    EXPECT_LT(std::abs(sum / static_cast<double>(ours.size())), 0.2);
  }

  TemporaryFolder folder_;
  Json tasks_ = Json::array();
};

struct File {
  std::string name, bytes;
};

/// None that is reduced while it is decoded, which torchvision does not do.
std::vector<File> files() {
  cv::Mat grey;
  cv::extractChannel(textured(300, 280), grey, 1);
  return {{"wide.jpg", encoded(textured(375, 500), ".jpg")},
          {"tall.png", encoded(textured(310, 260, 2), ".png")},
          {"small.png", encoded(textured(50, 70, 3), ".png")},
          {"grey.jpg", encoded(grey, ".jpg")},
          {"one.png", encoded(textured(1, 1), ".png")},
          {"long.jpg", encoded(textured(30, 400), ".jpg")}};
}

TEST_F(AgainstTorchvision, TrainingLooks) {
  Augmentation how;
  std::vector<std::pair<std::vector<float>, std::string>> pairs;
  for (const File& file : files()) {
    write_file(path(file.name), file.bytes);
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      PictureSource source(file.bytes, file.name);
      RandomStream random(seed, "look");
      const Box crop = draw_crop(source.height(), source.width(), how, random);
      const bool flip = random.uniform() < how.flip;
      RandomStream again(seed, "look");
      Workspace workspace;
      std::vector<float> ours(3UL * 224 * 224);
      write_training_look(source, in_bytes(), how, again, workspace, ours.data());
      pairs.emplace_back(std::move(ours), add({{"kind", "training"},
                                               {"file", path(file.name)},
                                               {"crop", {crop.top, crop.left, crop.height, crop.width}},
                                               {"flip", flip},
                                               {"size", 224}}));
    }
  }
  run();
  for (const auto& [ours, theirs] : pairs) expect_same_picture(ours, theirs);
}

TEST_F(AgainstTorchvision, EvaluationLooks) {
  std::vector<std::pair<std::vector<float>, std::string>> pairs;
  for (const File& file : files()) {
    write_file(path(file.name), file.bytes);
    for (const auto& [size, resize] :
         {std::pair(224, 256), std::pair(225, 256), std::pair(224, 224), std::pair(97, 300)}) {
      PictureSource source(file.bytes, file.name);
      const PictureLook look = in_bytes(size, resize);
      Workspace workspace;
      std::vector<float> ours(static_cast<std::size_t>(look.values()));
      write_evaluation_look(source, look, workspace, ours.data());
      pairs.emplace_back(
          std::move(ours),
          add({{"kind", "evaluation"}, {"file", path(file.name)}, {"size", size}, {"resize", resize}}));
    }
  }
  run();
  for (const auto& [ours, theirs] : pairs) expect_same_picture(ours, theirs);
}

TEST_F(AgainstTorchvision, Cmyk) {
  const std::string file = add({{"kind", "cmyk"}, {"file", path("cmyk.jpg")}, {"size", 64}, {"resize", 64}});
  run();
  PictureSource source(read_file(path("cmyk.jpg")), "p");
  const PictureLook look = in_bytes(64, 64);
  Workspace workspace;
  std::vector<float> ours(static_cast<std::size_t>(look.values()));
  write_evaluation_look(source, look, workspace, ours.data());
  const std::vector<float> theirs = result(file);
  ASSERT_EQ(ours.size(), theirs.size());
  // Each has a formula of its own, rounded otherwise.
  for (std::size_t i = 0; i < ours.size(); ++i) ASSERT_NEAR(ours[i], theirs[i], 3) << i;
}

TEST_F(AgainstTorchvision, CropsFromTheSameNumbers) {
  const Augmentation how;
  Json draws = Json::array();
  std::vector<Box> ours;
  for (const auto& [height, width] :
       {std::pair(375, 500), std::pair(500, 375), std::pair(100, 100), std::pair(90, 400), std::pair(400, 60),
        std::pair(3, 2), std::pair(7, 1)}) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      RandomStream random(seed, "crops");
      ours.push_back(draw_crop(height, width, how, random));
      RandomStream again(seed, "crops");
      Json numbers = Json::array();
      for (int i = 0; i < 20; ++i) numbers.push_back(again.uniform());
      draws.push_back({height, width, numbers});
    }
  }
  const std::string file =
      add({{"kind", "crops"}, {"draws", draws}, {"scale", how.crop_scale}, {"ratio", how.crop_ratio}});
  run();
  const std::vector<float> theirs = result(file);
  ASSERT_EQ(theirs.size(), 4 * ours.size());
  // Where it falls back, the place is the centre and not drawn.
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(static_cast<float>(ours[i].height), theirs[4 * i + 2]) << i;
    EXPECT_EQ(static_cast<float>(ours[i].width), theirs[4 * i + 3]) << i;
  }
}

TEST_F(AgainstTorchvision, Colours) {
  RandomStream random(4, "colours");
  constexpr std::size_t kPixels = 500;
  std::vector<float> picture(4 * kPixels);
  for (float& value : picture) value = static_cast<float>(random.below(256)) / 255;
  for (std::size_t i = 0; i < 30; ++i) picture[4 * i + 1] = picture[4 * i];  // two equal ones, or three
  for (std::size_t i = 10; i < 20; ++i) picture[4 * i + 2] = picture[4 * i];
  std::vector<float> planes;
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < kPixels; ++i) planes.push_back(picture[4 * i + c]);
  }
  using Change = void (*)(std::span<float>, double);
  const std::vector<std::pair<std::string, Change>> known{{"brightness", adjust_brightness},
                                                          {"contrast", adjust_contrast},
                                                          {"saturation", adjust_saturation},
                                                          {"hue", turn_hue}};
  std::vector<std::pair<std::vector<float>, std::string>> pairs;
  for (std::size_t i = 0; i < 40; ++i) {
    Json changes = Json::array();
    std::vector<float> ours = picture;
    // One alone at first, then all in some order.
    std::vector<std::int64_t> order{static_cast<std::int64_t>(i % 4)};
    if (i >= 16) order = random.permutation(4);
    for (const std::int64_t which : order) {
      const auto& [name, change] = known[static_cast<std::size_t>(which)];
      const double amount = name == "hue" ? random.uniform() - 0.5 : 2 * random.uniform();
      change(ours, amount);
      changes.push_back({name, amount});
    }
    pairs.emplace_back(std::move(ours),
                       add({{"kind", "colours"}, {"picture", planes}, {"changes", changes}}));
  }
  run();
  for (const auto& [ours, file] : pairs) {
    const std::vector<float> theirs = result(file);
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t i = 0; i < kPixels; ++i)
        EXPECT_NEAR(ours[4 * i + c], theirs[c * kPixels + i], 2e-5) << file;
    }
  }
}

}  // namespace
}  // namespace refnorm::data
