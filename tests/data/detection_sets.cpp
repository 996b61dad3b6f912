#include <set>

#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/base/json.h>
#include <refnorm/data/detection_loader.h>
#include <refnorm/data/detection_set.h>

#include "tests/data/folders.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;
using Empty = DetectionOptions::Empty;
using Missing = BatchOrder::Missing;
using Indices = std::vector<std::int64_t>;

DetectionOptions small(OnError on_error = OnError::kStop) {
  DetectionOptions options;
  options.short_side = 40;
  options.long_side = 64;
  options.multiple = 16;
  options.seed = 3;
  options.on_error = on_error;
  options.look.mean = {0, 0, 0};
  options.look.deviation = {1, 1, 1};
  return options;
}

/// Black pictures with white rectangles, which are the objects: a polygon, or every other one as an RLE.
class Scenes {
 public:
  Scenes() {
    json_ = {{"images", Json::array()},
             {"annotations", Json::array()},
             {"categories", {{{"id", 30}, {"name", "thirty"}}, {{"id", 4}, {"name", "four"}}}}};
  }

  /// Its id is 100 and the number of pictures before.
  std::int64_t picture(int height, int width, const std::vector<std::array<int, 4>>& rectangles) {
    const std::int64_t id = 100 + static_cast<std::int64_t>(json_["images"].size());
    cv::Mat pixels(height, width, CV_8UC3, cv::Scalar(0, 0, 0));
    for (const auto& [x, y, w, h] : rectangles) {
      pixels(cv::Rect(x, y, w, h)).setTo(cv::Scalar(255, 255, 255));
      Json one = {{"id", ++annotations_}, {"image_id", id}, {"category_id", annotations_ % 2 == 0 ? 4 : 30},
                  {"area", w * h},        {"iscrowd", 0},   {"bbox", {x, y, w, h}}};
      if (annotations_ % 2 == 0) {
        std::vector<std::uint8_t> dense(static_cast<std::size_t>(height * width));
        for (int i = y; i < y + h; ++i) {
          for (int j = x; j < x + w; ++j) dense[static_cast<std::size_t>(i * width + j)] = 1;
        }
        one["segmentation"] = {{"size", {height, width}},
                               {"counts", rle_text(encode_mask(dense, height, width))}};
      } else {
        one["segmentation"] = {{x, y, x + w, y, x + w, y + h, x, y + h}};
      }
      json_["annotations"].push_back(one);
    }
    const std::string name = std::to_string(id) + ".png";
    put(folder_, name, encoded(pixels, ".png"));
    json_["images"].push_back({{"id", id}, {"height", height}, {"width", width}, {"file_name", name}});
    return id;
  }

  Json& annotation(std::size_t place) { return json_["annotations"][place]; }
  void damage(std::int64_t id) { put(folder_, std::to_string(id) + ".png", "no picture"); }
  std::string folder_name() const { return folder_.path().filename().string(); }
  std::string path(std::int64_t id) const { return (folder_ / (std::to_string(id) + ".png")).string(); }

  std::shared_ptr<const DetectionSet> set(const DetectionOptions& options) const {
    put(folder_, "instances.json", json_.dump());
    return load_detection_set(folder_ / "instances.json", folder_.path(), options);
  }

 private:
  TemporaryFolder folder_;
  Json json_;
  int annotations_ = 0;
};

TEST(DetectionSizes, BothSidesByOneFactor) {
  const auto size = [](std::int64_t height, std::int64_t width) {
    return resized({height, width}, 800, 1333);
  };
  EXPECT_EQ(size(480, 640), (PictureSize{800, 1067}));  // 5/3: 1,066.7
  EXPECT_EQ(size(640, 480), (PictureSize{1067, 800}));
  EXPECT_EQ(size(480, 800), (PictureSize{800, 1333}));   // 5/3: 1,333.3, rounded
  EXPECT_EQ(size(400, 1000), (PictureSize{533, 1333}));  // 1.333: 533.2
  EXPECT_EQ(size(1600, 1600), (PictureSize{800, 800}));
  EXPECT_EQ(size(1, 5000), (PictureSize{1, 1333})) << "at least a pixel";
}

/// Where the picture of a batch is brighter than grey, [height, width].
torch::Tensor bright(const DetectionBatch& batch, std::int64_t place) {
  const PictureSize& size = batch.targets[static_cast<std::size_t>(place)].size;
  return batch.images[place][0].slice(0, 0, size.height).slice(1, 0, size.width) > 0.5;
}

/// The mask of an object over the whole picture of the batch: in squares of `side`, one beside the other.
torch::Tensor painted(const DetectionTargets& targets, std::size_t object, std::int64_t side = 8) {
  torch::Tensor all = torch::zeros({targets.size.height + side, targets.size.width + side}, torch::kUInt8);
  std::vector<std::uint8_t> square(static_cast<std::size_t>(side * side));
  for (std::int64_t y = 0; y < targets.size.height; y += side) {
    for (std::int64_t x = 0; x < targets.size.width; x += side) {
      crop_mask(*targets.masks[object], targets.place,
                {static_cast<double>(x), static_cast<double>(y), static_cast<double>(x + side),
                 static_cast<double>(y + side)},
                side, square);
      all.slice(0, y, y + side)
          .slice(1, x, x + side)
          .copy_(torch::from_blob(square.data(), {side, side}, torch::kUInt8));
    }
  }
  return all.slice(0, 0, targets.size.height).slice(1, 0, targets.size.width).to(torch::kBool);
}

TEST(DetectionSets, PicturesBoxesAndMasksFitTogether) {
  Scenes scenes;
  // Resized by 2 exactly, so that borders of rectangles are borders of pixels.
  scenes.picture(20, 30, {{4, 3, 8, 6}});    // a polygon
  scenes.picture(30, 20, {{10, 12, 6, 9}});  // an RLE
  for (const double flip : {0.0, 1.0}) {
    DetectionOptions options = small();
    options.flip = flip;
    const auto set = scenes.set(options);
    const DetectionBatch batch = set->training_batch(Indices{0, 1}, 0);
    EXPECT_EQ(batch.images.sizes(), (torch::IntArrayRef{2, 3, 64, 64})) << "multiples of 16 of 40 and 60";
    for (std::int64_t i = 0; i < 2; ++i) {
      const DetectionTargets& targets = batch.targets[static_cast<std::size_t>(i)];
      EXPECT_EQ(targets.place.mirrored, flip == 1);
      const torch::Tensor white = bright(batch, i);
      const auto* box = targets.boxes.data_ptr<float>();
      torch::Tensor inside = torch::zeros_like(white);
      inside.slice(0, static_cast<int>(box[1]), static_cast<int>(box[3]))
          .slice(1, static_cast<int>(box[0]), static_cast<int>(box[2]))
          .fill_(true);
      EXPECT_TRUE(torch::equal(white, inside)) << targets.boxes;
      EXPECT_TRUE(torch::equal(white, painted(targets, 0)));
      // Beside and below the picture there is nothing.
      EXPECT_EQ(batch.images[i].slice(1, targets.size.height).abs().sum().item<float>(), 0);
      EXPECT_EQ(batch.images[i].slice(2, targets.size.width).abs().sum().item<float>(), 0);
    }
    // x 4 … 12 of 30, doubled, and from the other side.
    const std::vector<float> expected =
        flip == 0 ? std::vector<float>{8, 6, 24, 18} : std::vector<float>{36, 6, 52, 18};
    EXPECT_TRUE(torch::equal(batch.targets[0].boxes[0], torch::tensor(expected)));
  }
}

TEST(DetectionSets, TargetsSayWhatTheyAreOf) {
  Scenes scenes;
  scenes.picture(20, 30, {{4, 3, 8, 6}, {1, 1, 2, 2}});
  scenes.annotation(1)["iscrowd"] = 1;
  scenes.annotation(0)["bbox"] = {-0.5, 3, 8, 17.75};  // within a pixel of the picture: cut off
  DetectionOptions options = small();
  options.short_side = 30;
  const auto set = scenes.set(options);
  const DetectionTargets targets = set->batch(Indices{0}).targets[0];
  EXPECT_EQ(targets.image_id, 100);
  EXPECT_EQ(targets.original, (PictureSize{20, 30}));
  EXPECT_EQ(targets.size, (PictureSize{30, 45}));
  EXPECT_DOUBLE_EQ(targets.place.scale_x, 1.5);
  // Annotations 1 and 2 have categories 30 and 4: labels by rising id.
  EXPECT_TRUE(torch::equal(targets.labels, torch::tensor({2, 1}, torch::kLong)));
  EXPECT_EQ(set->category(2).name, "thirty");
  EXPECT_EQ(set->classes(), 2);
  EXPECT_TRUE(torch::equal(targets.crowd, torch::tensor({false, true})));
  EXPECT_TRUE(torch::equal(targets.boxes[0], torch::tensor({0.0F, 4.5F, 11.25F, 30.0F}))) << targets.boxes;
}

TEST(DetectionSets, ValuesAreNormalized) {
  Scenes scenes;
  scenes.picture(40, 40, {{0, 0, 40, 40}});
  DetectionOptions options = small();
  options.look = {};
  for (const bool channels_last : {false, true}) {
    options.look.channels_last = channels_last;
    const DetectionBatch batch = scenes.set(options)->batch(Indices{0});
    EXPECT_TRUE(batch.images.is_contiguous(channels_last ? torch::MemoryFormat::ChannelsLast
                                                         : torch::MemoryFormat::Contiguous));
    for (std::int64_t c = 0; c < 3; ++c) {  // white: (1 − mean) / deviation
      const auto place = static_cast<std::size_t>(c);
      const double expected = (1 - options.look.mean[place]) / options.look.deviation[place];
      EXPECT_NEAR(batch.images[0][c][39][39].item<float>(), expected, 1e-5);
      EXPECT_EQ(batch.images[0][c][39][40].item<float>(), 0);
    }
  }
}

TEST(DetectionSets, MirroringIsByEpochAndIndexAlone) {
  Scenes scenes;
  for (int i = 0; i < 40; ++i) scenes.picture(20, 20, {{1, 2, 3, 4}});
  const auto set = scenes.set(small());
  const auto flips = [&](const Indices& indices, std::int64_t epoch) {
    std::vector<bool> all;
    for (const DetectionTargets& one : set->training_batch(indices, epoch).targets)
      all.push_back(one.place.mirrored);
    return all;
  };
  Indices all(40);
  std::iota(all.begin(), all.end(), 0);
  const std::vector<bool> first = flips(all, 0);
  const auto mirrored = std::count(first.begin(), first.end(), true);
  EXPECT_GT(mirrored, 8);  // of 40 at one half: beyond 3.8 deviations else
  EXPECT_LT(mirrored, 32);
  EXPECT_NE(flips(all, 1), first);
  EXPECT_EQ(flips({7, 3}, 0), (std::vector<bool>{first[7], first[3]}));
  for (const DetectionTargets& one : set->batch(all).targets) EXPECT_FALSE(one.place.mirrored);
}

TEST(DetectionSets, PicturesWithoutObjects) {
  Scenes scenes;
  scenes.picture(20, 30, {});
  scenes.picture(20, 30, {{1, 1, 5, 5}});
  scenes.picture(20, 30, {{1, 1, 5, 5}});
  scenes.annotation(1)["iscrowd"] = 1;
  DetectionOptions options = small();
  const auto all = scenes.set(options);
  EXPECT_EQ(all->size(), 3);
  const DetectionTargets none = all->batch(Indices{0}).targets[0];
  EXPECT_EQ(none.boxes.sizes(), (torch::IntArrayRef{0, 4}));
  EXPECT_EQ(none.labels.numel(), 0);
  options.empty = Empty::kDrop;
  const auto some = scenes.set(options);
  EXPECT_EQ(some->size(), 1);
  EXPECT_EQ(some->image(0).id, 101);
  Scenes empty;
  empty.picture(20, 30, {});
  EXPECT_TRUE(contains(user_error_of([&] { empty.set(options); }), "has no pictures with objects in them"));
}

TEST(DetectionSets, ProblemsOfAnnotations) {
  Scenes scenes;
  scenes.picture(20, 30, {{1, 1, 5, 5}, {2, 2, 5, 5}, {3, 3, 5, 5}});
  scenes.annotation(0)["bbox"] = {1, 1, 0, 5};
  scenes.annotation(1)["category_id"] = 5;
  EXPECT_TRUE(contains(user_error_of([&] { scenes.set(small()); }),
                       "instances.json: annotation 1: its box is 0 wide and 5 high (and 1 more"));
  const auto set = scenes.set(small(OnError::kSkip));
  EXPECT_EQ(set->batch(Indices{0}).targets[0].boxes.size(0), 1);
}

TEST(DetectionSets, ObjectsBesideTheirPictureAreLeftOut) {
  Scenes scenes;
  scenes.picture(20, 30, {{1, 1, 5, 5}, {2, 2, 5, 5}});
  scenes.annotation(0)["bbox"] = {30, 1, 0.5, 5};  // within the margin of a pixel, and nothing of it inside
  EXPECT_EQ(scenes.set(small())->batch(Indices{0}).targets[0].boxes.size(0), 1);
}

TEST(DetectionSets, SizesThatCannotBe) {
  Scenes scenes;
  scenes.picture(20, 30, {{1, 1, 5, 5}});
  const auto error = [&](const auto& change) {
    DetectionOptions options = small();
    change(options);
    return user_error_of([&] { scenes.set(options); });
  };
  EXPECT_TRUE(contains(error([](auto& options) { options.long_side = 39; }), "data.long_side: 39 pixels"));
  EXPECT_TRUE(contains(error([](auto& options) { options.short_side = 0; }), "at least 1"));
  EXPECT_TRUE(contains(error([](auto& options) { options.multiple = 0; }), "data.multiple: 0"));
  EXPECT_TRUE(contains(error([](auto& options) { options.flip = 1.5; }), "data.flip: 1.5"));
}

TEST(DetectionSets, PicturesThatAreNotAsTheAnnotationsSay) {
  Scenes scenes;
  const std::int64_t id = scenes.picture(20, 30, {{1, 1, 5, 5}});
  const auto good = scenes.picture(20, 30, {{1, 1, 5, 5}});
  write_file(scenes.path(id), encoded(cv::Mat(30, 20, CV_8UC3, cv::Scalar(9, 9, 9)), ".png"));
  EXPECT_EQ(user_error_of([&] { scenes.set(small())->batch(Indices{0}); }),
            scenes.path(id) + ": 20 pixels wide and 30 high, expected 30 and 20, as the annotations say");
  const auto set = scenes.set(small(OnError::kSkip));
  EXPECT_EQ(set->batch(Indices{0, 1}).missing, (Indices{0}));
  ASSERT_EQ(set->unreadable().size(), 1U);
  EXPECT_EQ(set->unreadable()[0].file, scenes.folder_name() + "/100.png");
  std::filesystem::remove(scenes.path(good));
  EXPECT_TRUE(contains(user_error_of([&] { set->batch(Indices{1}); }), "101.png: cannot be read"))
      << "a file that is not there is no bad picture";
}

TEST(DetectionSets, KnowWhatIsLeftToEvaluate) {
  Scenes scenes;
  scenes.picture(20, 30, {{1, 1, 5, 5}});
  scenes.picture(20, 30, {{2, 2, 5, 5}, {9, 9, 5, 5}});
  scenes.picture(20, 30, {{3, 3, 5, 5}});
  scenes.picture(20, 30, {{4, 4, 5, 5}});
  scenes.damage(101);
  const auto set = scenes.set(small(OnError::kSkip));
  EXPECT_EQ(set->readable().get(), &set->instances()) << "none was found unreadable yet";
  set->batch(Indices{0, 1});
  set->add_unreadable({{scenes.folder_name() + "/102.png", "another process says so"}});
  const auto left = set->readable();
  ASSERT_EQ(left->images.size(), 2U);
  EXPECT_EQ(left->images[0].id, 100);
  EXPECT_EQ(left->images[1].id, 103);
  ASSERT_EQ(left->annotations.size(), 2U);
  EXPECT_EQ(left->annotations[0].box[0], 1);
  EXPECT_EQ(left->annotations[0].image, 0);
  EXPECT_EQ(left->annotations[1].box[0], 4);
  EXPECT_EQ(left->annotations[1].image, 1) << "its place among those that are left";
  EXPECT_EQ(left->categories.size(), 2U);
}

TEST(DetectionLoaders, PutOthersInThePlaceOfUnreadablePictures) {
  Scenes scenes;
  for (int i = 0; i < 3; ++i) {
    scenes.picture(20, 30, {{1, 1, 5, 5}});  // wide: 0, 2, 4
    scenes.picture(30, 20, {{1, 1, 5, 5}});  // tall: 1, 3, 5
  }
  scenes.damage(102);
  const auto set = scenes.set(small(OnError::kSkip));
  EXPECT_EQ(load_batch(*set, {{0, 2}, 0}).indices, (Indices{0, 4})) << "the next wide one";
  EXPECT_EQ(load_batch(*set, {{0, 2, 4}, 0}).indices, (Indices{0, 3, 4})) << "then any";
  EXPECT_EQ(load_batch(*set, {{4, 2}, 0}).indices, (Indices{4, 0})) << "behind the last comes the first";
  EXPECT_EQ(load_batch(*set, {{0, 2, 4}, {}, Missing::kLeaveOut}).indices, (Indices{0, 4}));
  for (const std::int64_t id : {100, 101, 103, 104, 105}) scenes.damage(id);
  EXPECT_TRUE(contains(user_error_of([&] {
                         load_batch(*set, {{0}, 0});
                       }),
                       "none of 6 pictures can be read, such as"));
  DetectionLoader loader(*set, 2, evaluation_plan(6, 3), 1);
  EXPECT_TRUE(contains(user_error_of([&] { loader.next(); }), "none of 6 pictures can be read"));
}

TEST(DetectionLoaders, BatchesAreOfOneOrientation) {
  Scenes scenes;
  for (int i = 0; i < 5; ++i) scenes.picture(20, 30, {{1, 1, 5, 5}});
  for (int i = 0; i < 7; ++i) scenes.picture(30 - i % 2 * 10, 20, {{1, 1, 5, 5}});  // tall or square
  const auto set = scenes.set(small());
  const auto sampler = orientation_sampler(*set, 2, 1);
  EXPECT_EQ(sampler->batches_per_epoch(), 2 + 3);
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    std::set<std::int64_t> seen;
    for (std::int64_t place = 0; place < 5; ++place) {
      const Indices batch = sampler->batch(epoch, place);
      ASSERT_EQ(batch.size(), 2U);
      EXPECT_EQ(batch[0] < 5, batch[1] < 5);
      seen.insert(batch.begin(), batch.end());
    }
    EXPECT_EQ(seen.size(), 10U) << "none twice";
  }
  EXPECT_NE(sampler->batch(0, 0), sampler->batch(1, 0));
  EXPECT_TRUE(
      contains(user_error_of([&] { orientation_sampler(*set, 8, 1); }), "train.batch_size: 8 samples"));
}

TEST(DetectionLoaders, AnyNumberOfWorkersGivesTheSameBits) {
  Scenes scenes;
  for (int i = 0; i < 12; ++i) scenes.picture(20 + i, 25, {{1, 1, 5, 5}, {3, 4, 9, 8}});
  scenes.damage(104);
  const auto set = scenes.set(small(OnError::kSkip));
  const auto sampler = orientation_sampler(*set, 2, 1);
  const auto all = [&](std::int64_t workers) {
    DetectionLoader loader(
        *set, 10,
        [&](std::int64_t place) {
          return BatchOrder{sampler->batch(place / 5, place % 5), place / 5};
        },
        workers);
    std::vector<torch::Tensor> found;
    while (const auto batch = loader.next()) {
      found.push_back(batch->images.flatten());
      for (const DetectionTargets& one : batch->targets) found.push_back(one.boxes.flatten());
    }
    return torch::cat(found);
  };
  const torch::Tensor alone = all(0);
  EXPECT_TRUE(torch::equal(all(1), alone));
  EXPECT_TRUE(torch::equal(all(4), alone));
}

}  // namespace
}  // namespace refnorm::data
