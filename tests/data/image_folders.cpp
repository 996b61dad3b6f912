#include <filesystem>

#include <gtest/gtest.h>
#include <opencv2/imgproc.hpp>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/data/folder_index.h>
#include <refnorm/data/image_folder.h>
#include <refnorm/data/loader.h>

#include "tests/data/folders.h"

namespace refnorm::data {
namespace {

using namespace refnorm::testing;
namespace fs = std::filesystem;

std::vector<std::string> names_of(const FolderIndex& index) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < index.size(); ++i) names.push_back(index.name(i));
  return names;
}

TEST(FolderIndexes, HavePicturesInTheOrderOfTheirNames) {
  const TemporaryFolder folder;
  // Only names count here.
  for (const char* name :
       {"b/2.png", "b/10.PNG", "a/x.JPEG", "a/deeper/y.jpg", "b/notes.txt", "a/.hidden.png", ".cache/z.png",
        "readme.md", "a/with blank.webp", "b/\xc3\xa4.tiff"})
    put(folder, name, "");
  const FolderIndex index(folder.path());
  EXPECT_EQ(index.classes(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(names_of(index), (std::vector<std::string>{"a/deeper/y.jpg", "a/with blank.webp", "a/x.JPEG",
                                                       "b/10.PNG", "b/2.png", "b/\xc3\xa4.tiff"}));
  EXPECT_EQ(index.label(2), 0);
  EXPECT_EQ(index.label(3), 1);
  EXPECT_EQ(index.file(4), folder / "b/2.png");
}

TEST(FolderIndexes, ALinkMayStandForAClass) {
  const TemporaryFolder folder;
  put(folder, "elsewhere/a.png", "");
  fs::create_directory(folder / "set");
  fs::create_directory_symlink(folder / "elsewhere", folder / "set/a");
  fs::create_directory_symlink(folder.path(), folder / "elsewhere/loop");
  EXPECT_EQ(names_of(FolderIndex(folder / "set")), (std::vector<std::string>{"a/a.png"}));
}

TEST(FolderIndexes, SayWhatIsWrong) {
  const TemporaryFolder folder;
  const auto said = [&](const std::string& name) {
    return user_error_of([&] { const FolderIndex index(folder / name); });
  };
  EXPECT_TRUE(contains(said("none"), "none: cannot be read (No such file"));
  fs::create_directory(folder / "empty");
  EXPECT_TRUE(contains(said("empty"), "empty: has no class folders"));
  put(folder, "one/a/1.png", "");
  put(folder, "one/b/1.txt", "");
  EXPECT_TRUE(contains(said("one"), "one/b: has no pictures"));
  put(folder, "bytes/a\xff/1.png", "");
  EXPECT_TRUE(contains(said("bytes"), "bytes: the name 'a\\xff' in it is not UTF-8"));
  put(folder, "inner/a/1\xff.png", "");
  EXPECT_TRUE(contains(said("inner"), "'a/1\\xff.png' in it is not UTF-8"));
}

TEST(FolderIndexes, OfTrainAndValMustAgree) {
  const TemporaryFolder folder;
  const auto said = [&] { return user_error_of([&] { load_image_folder(folder.path(), small_looks()); }); };
  EXPECT_TRUE(contains(said(), "has no folder train, expected an image folder"));
  put(folder, "train/a/1.png", "");
  EXPECT_TRUE(contains(said(), "has no folder val"));
  put(folder, "train/b/1.png", "");
  put(folder, "train/c/1.png", "");
  put(folder, "val/a/1.png", "");
  EXPECT_TRUE(contains(
      said(), "val: has no folder for the class 'b' of train (and lacks 1 more), expected the same"));
  put(folder, "val/b/1.png", "");
  put(folder, "val/c/1.png", "");
  put(folder, "val/d/1.png", "");
  EXPECT_TRUE(contains(said(), "train: has no folder for the class 'd' of val, expected the same"));
  put(folder, "train/d/1.png", "");
  EXPECT_EQ(load_image_folder(folder.path(), small_looks()).train->size(), 4);
  FolderOptions options = small_looks();
  options.look.resize = 23;
  EXPECT_EQ(user_error_of([&] { load_image_folder(folder.path(), options); }),
            "data.resize: 23 pixels, expected at least data.size, 24");
}

std::vector<std::int64_t> all_of(const ImageSet& set) {
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < set.size(); ++i) indices.push_back(i);
  return indices;
}

class ImageFolders : public ::testing::Test {
 protected:
  ImageFolders() { put_pictures(folder_, 4); }
  TrainAndTest load(OnError on_error = OnError::kStop) const {
    return load_image_folder(folder_.path(), small_looks(on_error));
  }
  TemporaryFolder folder_;
};

TEST_F(ImageFolders, AreSetsOfPictures) {
  const TrainAndTest sets = load();
  EXPECT_EQ(sets.train->size(), 12);
  EXPECT_EQ(sets.test->size(), 6);
  EXPECT_EQ(sets.train->class_names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(sets.train->channels(), 3);
  EXPECT_EQ(sets.train->side(), 24);
  const Batch batch = sets.test->batch(all_of(*sets.test));
  EXPECT_EQ(batch.images.sizes(), (std::vector<std::int64_t>{6, 3, 24, 24}));
  EXPECT_TRUE(torch::equal(batch.labels, torch::tensor({0, 0, 1, 1, 2, 2}, torch::kLong)));
  EXPECT_TRUE(batch.missing.empty());
  // Of values 0 … 1.
  const torch::Tensor pixels = sets.test->pixel_scale().pixels(batch.images);
  EXPECT_GE(pixels.min().item<float>(), -1e-5);
  EXPECT_LE(pixels.max().item<float>(), 1 + 1e-5);
  EXPECT_GT(pixels.std().item<float>(), 0.1);
  EXPECT_TRUE(torch::equal(sets.test->batch(all_of(*sets.test)).images, batch.images));
}

TEST_F(ImageFolders, EitherMemoryFormat) {
  FolderOptions options = small_looks();
  options.look.channels_last = true;
  const auto last = load_image_folder(folder_.path(), options).train;
  const auto first = load().train;
  const torch::Tensor images = last->training_batch(all_of(*last), 0).images;
  EXPECT_TRUE(images.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::equal(images, first->training_batch(all_of(*first), 0).images));
}

TEST_F(ImageFolders, TrainingLooksDependOnSeedEpochAndIndexAlone) {
  const auto set = load().train;
  const std::vector<std::int64_t> all = all_of(*set);
  const torch::Tensor images = set->training_batch(all, 3).images;
  const std::vector<std::int64_t> some{7, 2, 7};
  const torch::Tensor again = load().train->training_batch(some, 3).images;
  EXPECT_TRUE(torch::equal(again[0], images[7]));
  EXPECT_TRUE(torch::equal(again[1], images[2]));
  EXPECT_TRUE(torch::equal(again[2], images[7]));
  EXPECT_FALSE(torch::equal(set->training_batch(all, 4).images[7], images[7]));
  FolderOptions other = small_looks();
  other.seed = 6;
  EXPECT_FALSE(torch::equal(load_image_folder(folder_.path(), other).train->training_batch(all, 3).images[7],
                            images[7]));
  EXPECT_FALSE(torch::equal(set->batch(all).images[7], images[7])) << "evaluation sees another look";
  // A choice of samples keeps their looks.
  EXPECT_TRUE(torch::equal(subset(set, {9, 7})->training_batch(std::vector<std::int64_t>{1}, 3).images[0],
                           images[7]));
}

const cv::Mat kPlain(30, 30, CV_8UC3, cv::Scalar(51, 102, 204));

/// Files that are odd, and can be read: each shows kPlain.
std::vector<std::pair<std::string, std::string>> odd_files() {
  cv::Mat grey(30, 30, CV_8UC1, cv::Scalar(127));
  cv::Mat deep;
  kPlain.convertTo(deep, CV_16U, 257);
  cv::Mat clear;
  cv::cvtColor(kPlain, clear, cv::COLOR_BGR2BGRA);
  return {{"1.png", encoded(deep, ".png")},
          {"2.png", encoded(clear, ".png")},
          {"3.png", encoded(cv::Mat(kPlain, cv::Rect(0, 0, 1, 1)), ".png")},
          {"4.jpg", encoded(kPlain, ".png")},  // what it is, and not what it is called
          {"5.webp", encoded(kPlain, ".webp", {cv::IMWRITE_WEBP_QUALITY, 101})},
          {"6.jpg", encoded(kPlain, ".jpg", {cv::IMWRITE_JPEG_PROGRESSIVE, 1})},
          {"7.jpeg", turned(encoded(kPlain, ".jpg"))}};
}

TEST_F(ImageFolders, OddPicturesAreRead) {
  for (const auto& [name, bytes] : odd_files()) put(folder_, "train/b/x" + name, bytes);
  put(folder_, "train/b/y.png", encoded(cv::Mat(5, 5, CV_8UC1, cv::Scalar(51)), ".png"));
  const auto set = load().train;
  const torch::Tensor pixels = set->pixel_scale().pixels(set->batch(all_of(*set)).images);
  const torch::Tensor plain = torch::tensor({0.8F, 0.4F, 0.2F}).view({3, 1, 1});
  for (std::int64_t i = 8; i < 15; ++i) EXPECT_LT((pixels[i] - plain).abs().max().item<float>(), 0.02) << i;
  EXPECT_LT((pixels[15] - 0.2F).abs().max().item<float>(), 1e-5) << "grey";
}

/// Files that are no pictures, and a part of what is said of each.
std::vector<std::pair<std::string, std::string>> bad_files() {
  const std::string jpeg = encoded(textured(60, 60), ".jpg");
  const std::string png = encoded(textured(60, 60), ".png");
  return {{"", "is empty"},
          {"a text", "is not a picture"},
          {jpeg.substr(0, jpeg.size() / 2), "truncated"},
          {png.substr(0, png.size() / 2), "damaged"},
          {"GIF89a", "is not a picture"}};
}

TEST_F(ImageFolders, ABadPictureIsNamed) {
  ::testing::internal::CaptureStderr();  // the decoders' own words
  for (const auto& [bytes, why] : bad_files()) {
    put(folder_, "train/b/1.png", bytes);
    const auto set = load().train;
    const std::string said = user_error_of([&] { set->training_batch(all_of(*set), 0); });
    EXPECT_TRUE(contains(said, "train/b/1.png: ") && contains(said, why)) << said;
  }
  ::testing::internal::GetCapturedStderr();
}

TEST_F(ImageFolders, OrIsPassedOverAndListed) {
  ::testing::internal::CaptureStderr();
  put(folder_, "train/b/1.png", "a text");
  put(folder_, "val/c/0.png", bad_files()[3].first);
  const TrainAndTest sets = load(OnError::kSkip);
  EXPECT_TRUE(sets.train->unreadable().empty()) << "nothing was read yet";
  const Batch batch = sets.train->training_batch(all_of(*sets.train), 0);
  EXPECT_EQ(batch.missing, (std::vector<std::int64_t>{5}));
  EXPECT_EQ(batch.images[5].abs().max().item<float>(), 0);
  sets.train->batch(all_of(*sets.train));
  ASSERT_EQ(sets.train->unreadable().size(), 1U) << "once";
  EXPECT_EQ(sets.train->unreadable()[0].file, "train/b/1.png");
  EXPECT_TRUE(contains(sets.train->unreadable()[0].why, "is not a picture"));
  EXPECT_EQ(sets.test->batch(all_of(*sets.test)).missing, (std::vector<std::int64_t>{4}));
  EXPECT_EQ(subset(sets.test, {1})->unreadable()[0].file, "val/c/0.png");
  ::testing::internal::GetCapturedStderr();
}

TEST_F(ImageFolders, AFileThatIsGoneIsAnErrorInAnyCase) {
  const auto set = load(OnError::kSkip).train;
  fs::remove(folder_ / "train/b/1.png");
  EXPECT_TRUE(contains(user_error_of([&] { set->batch(all_of(*set)); }), "train/b/1.png: cannot be read"));
}

}  // namespace
}  // namespace refnorm::data
