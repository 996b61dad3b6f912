#include <set>

#include <gtest/gtest.h>

#include <refnorm/data/picture.h>
#include <refnorm/data/stamp_folder.h>
#include <refnorm/data/stamps.h>

#include "tests/data/stamp_files.h"

namespace refnorm::data {
namespace {

using namespace testing;

using Bytes = std::vector<std::uint8_t>;

TEST(Stamps, CategoriesWithEnoughOfThem) {
  const TemporaryFolder folder;
  put_stamps(folder, {"trees", "birds"}, 3);
  put_stamps(folder, {"cars"}, 2);
  put(folder, "cars/even/0_mirror.png", "the same again");
  put(folder, "cars/readme.txt", "no picture");
  put(folder, "top.png", "in no category");
  const auto listed = list_stamps(folder.path(), 3);
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].name, "birds");
  EXPECT_EQ(listed[0].files,
            (std::vector<std::string>{"birds/even/0.png", "birds/even/2.png", "birds/odd/1.png"}));
  EXPECT_EQ(listed[1].name, "trees");
  EXPECT_EQ(list_stamps(folder.path(), 2).size(), 3U);
  EXPECT_TRUE(contains(user_error_of([&] { list_stamps(folder.path(), 4); }),
                       folder.path().string() + ": 0 folders with at least 4 PNG pictures"));
  EXPECT_TRUE(contains(user_error_of([&] { list_stamps(folder / "none", 1); }), "none: cannot be read"));
}

TEST(Stamps, SplitInTwoWithoutACommonOne) {
  std::vector<StampCategory> categories{{"a", {}}, {"b", {}}};
  for (int i = 0; i < 34; ++i) categories[0].files.push_back(fmt::format("a/{:02}.png", i));
  for (int i = 0; i < 30; ++i) categories[1].files.push_back(fmt::format("b/{:02}.png", i));
  const auto [first, second] = split_stamps(categories);
  for (std::size_t c = 0; c < 2; ++c) {
    const std::size_t count = categories[c].files.size();
    EXPECT_EQ(second[c].files.size(), count / 5);
    std::vector<std::string> both = first[c].files;
    both.insert(both.end(), second[c].files.begin(), second[c].files.end());
    EXPECT_EQ(std::set<std::string>(both.begin(), both.end()).size(), count);
    EXPECT_EQ(both.size(), count);
  }
  EXPECT_EQ(split_stamps(categories).second[0].files, second[0].files);
}

TEST(Stamps, ReadWithAlphaWhateverTheyAre) {
  const TemporaryFolder folder;
  const Rgba colours{1, 2, {10, 20, 30, 255, 40, 50, 60, 128}};
  put(folder, "rgba.png", png_of(colours));
  EXPECT_EQ(read_stamp(folder / "rgba.png").values, colours.values);
  put(folder, "rgb.png", encoded(cv::Mat(1, 1, CV_8UC3, cv::Scalar(30, 20, 10)), ".png"));
  EXPECT_EQ(read_stamp(folder / "rgb.png").values, (Bytes{10, 20, 30, 255}));
  put(folder, "grey.png", encoded(cv::Mat(1, 1, CV_8U, cv::Scalar(7)), ".png"));
  EXPECT_EQ(read_stamp(folder / "grey.png").values, (Bytes{7, 7, 7, 255}));
  // 16 bits: 257 is 1 of 255, 65535 is 255.
  put(folder, "deep.png", encoded(cv::Mat(1, 1, CV_16UC4, cv::Scalar(257, 514, 771, 65535)), ".png"));
  EXPECT_EQ(read_stamp(folder / "deep.png").values, (Bytes{3, 2, 1, 255}));
  put(folder, "half.png", png_of(plain_stamp(40, 40, {1, 2, 3, 4})).substr(0, 60));
  EXPECT_TRUE(contains(user_error_of([&] { read_stamp(folder / "half.png"); }), "half.png: "));
}

TEST(Stamps, TrimmedToWhatIsNotTransparent) {
  Rgba stamp = plain_stamp(4, 5, {9, 8, 7, 0});
  EXPECT_TRUE(trimmed(stamp).values.empty());
  const auto set_alpha = [&](std::int64_t y, std::int64_t x, std::uint8_t alpha) {
    stamp.values[static_cast<std::size_t>(4 * (y * 5 + x) + 3)] = alpha;
  };
  set_alpha(1, 3, 1);
  set_alpha(2, 2, 255);
  const Rgba part = trimmed(stamp);
  EXPECT_EQ(part.height, 2);
  EXPECT_EQ(part.width, 2);
  EXPECT_EQ(part.values, (Bytes{9, 8, 7, 0, 9, 8, 7, 1, 9, 8, 7, 255, 9, 8, 7, 0}));
}

TEST(Stamps, ScaledWithColoursThatWeighAsMuchAsTheyAreOpaque) {
  // Two pixels become one: half transparent (127.5, rounded up), and red, since the green one cannot be seen.
  const Rgba pair{1, 2, {255, 0, 0, 255, 0, 255, 0, 0}};
  EXPECT_EQ(scaled(pair, 1, 1, false).values, (Bytes{255, 0, 0, 128}));
  // Weights 255 and 51: (255 · 255 + 100 · 51) / 306 = 229.17; alpha (255 + 51) / 2.
  const Rgba mixed{2, 1, {255, 0, 0, 255, 100, 0, 0, 51}};
  EXPECT_EQ(scaled(mixed, 1, 1, false).values, (Bytes{229, 0, 0, 153}));
  const Rgba row{1, 3, {1, 2, 3, 255, 4, 5, 6, 200, 7, 8, 9, 255}};
  EXPECT_EQ(scaled(row, 1, 3, false).values, row.values);
  EXPECT_EQ(scaled(row, 1, 3, true).values, (Bytes{7, 8, 9, 255, 4, 5, 6, 200, 1, 2, 3, 255}));
}

TEST(Stamps, FlattenedOnWhite) {
  // 100 · 51/255 + 255 · 204/255 = 20 + 204.
  const Rgba stamp{1, 3, {1, 2, 3, 255, 1, 2, 3, 0, 100, 0, 255, 51}};
  EXPECT_EQ(flattened(stamp).values, (Bytes{1, 2, 3, 255, 255, 255, 224, 204, 255}));
}

TEST(StampFolder, IsAnImageFolderOnWhite) {
  const TemporaryFolder stamps, made;
  put_stamps(stamps, {"birds", "trees"}, 30, {0, 0, 0, 255});
  put_stamps(stamps, {"few"}, 29);
  put(stamps, "birds/small.png", png_of(plain_stamp(23, 60, {0, 0, 0, 255})));
  const Json about = write_stamp_folder(stamps.path(), made.path());
  // 31 birds, of which the small one is left out wherever it fell; 30 trees; a fifth of each, rounded down.
  EXPECT_EQ(about["train"].get<int>() + about["val"].get<int>(), 60);
  const TrainAndTest sets = load_image_folder(made.path(), small_looks());
  EXPECT_EQ(sets.train->class_names(), (std::vector<std::string>{"birds", "trees"}));
  EXPECT_EQ(sets.train->size(), about["train"].get<int>());
  EXPECT_EQ(sets.test->size(), about["val"].get<int>());
  EXPECT_GE(sets.test->size(), 11);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(made / "val")) {
    if (!entry.is_regular_file()) continue;
    const Picture picture = read_picture(entry.path());
    EXPECT_GT(picture.values.front(), 0.97F) << entry.path();  // a corner; JPEG does not keep it exactly
    EXPECT_LT(picture.values[picture.values.size() / 2 + static_cast<std::size_t>(3 * picture.width / 2)],
              0.03F);
  }
}

}  // namespace
}  // namespace refnorm::data
