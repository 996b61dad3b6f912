#include <cmath>
#include <csignal>

#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/random.h>

#include "tests/cli/program.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

/// A folder of noisy pictures in which one of three colours is brighter, which is the class.
class Folder : public ::testing::Test {
 protected:
  Folder() {
    std::uint64_t seed = 0;
    for (const auto& [part, each] : {std::pair("train", 60), std::pair("val", 20)}) {
      for (std::size_t c = 0; c < 3; ++c) {
        for (int i = 0; i < each; ++i) put(std::string(part) + "/" + kClasses[c], i, picture(c, ++seed));
      }
    }
    write_file(folder_ / "recipe.toml", R"(name = "colours"
[data]
kind = "folder"
path = ")" + path("data") + R"("
validation = 30
size = 28
resize = 32
[train]
epochs = 4
batch_size = 15
lr = 0.02
log_every = 5
[reference]
size = 15
[run]
threads = 1
[[arm]]
norm = "rbn"
)");
  }

  static std::string picture(std::size_t brighter, std::uint64_t seed) {
    RandomStream random(seed, "colours");
    std::string bytes = "P6\n40 36\n255\n";
    for (std::size_t i = 0; i < 40 * 36 * 3; ++i)
      bytes += static_cast<char>(random.below(160) + (i % 3 == brighter ? 80 : 0));
    return bytes;
  }

  void put(const std::string& where, int number, const std::string& bytes) const {
    make_folder(folder_ / "data" / where);
    write_file(folder_ / "data" / where / (std::to_string(number) + ".ppm"), bytes);
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Words train(const std::string& out) const { return {"train", path("recipe.toml"), "--out", path(out)}; }
  static Words set(const std::string& what) { return {"--set", what}; }
  static Json trained(const Words& words) { return json_of(words + Words{"--json"}); }

  static constexpr const char* kClasses[] = {"blue", "green", "red"};
  TemporaryFolder folder_;
};

TEST_F(Folder, IsTrainedOn) {
  const Json result = trained(train("run"));
  EXPECT_EQ(result.at("setup").at("training_samples"), 150);
  EXPECT_EQ(result.at("setup").at("validation_samples"), 30);
  EXPECT_EQ(result.at("setup").at("test_samples"), 60);
  EXPECT_EQ(result.at("setup").at("picture_size"), 28);
  EXPECT_LT(result.at("test_error_pct").get<double>(), 20);
  EXPECT_FALSE(result.contains("unreadable"));
  EXPECT_EQ(read_json(path("run/classes.json")), Json(Words{"blue", "green", "red"}));

  const Json again = json_of({"eval", path("run"), "--json"});
  EXPECT_EQ(again.at("test_error_pct_by_statistics"), result.at("test_error_pct_by_statistics"));
}

TEST_F(Folder, AnyNumberOfWorkersAndAStopGiveTheSameBits) {
  const Words jitter = set("data.brightness=0.3") + set("data.hue=0.1") + set("data.erase=0.5");
  trained(train("none") + jitter + set("data.workers=0"));
  trained(train("four") + jitter + set("data.workers=4"));
  auto none = timeless_files_in(path("none"));
  auto four = timeless_files_in(path("four"));
  none.erase("config.toml");  // it has the number
  four.erase("config.toml");
  expect_same_files(none, four);

  const Words longer = jitter + set("train.epochs=30");
  trained(train("whole") + longer + set("data.workers=1"));
  Running running(train("stopped") + longer + set("data.workers=3"));
  wait_until([&] { return fs::exists(path("stopped/last/meta.json")); });
  running.send(SIGINT);
  const Ended ended = running.wait();
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(contains(ended.err, "stopped after step ")) << ended.err;
  trained(train("stopped") + longer + Words{"--resume"} + set("data.workers=0"));
  auto whole = timeless_files_in(path("whole"));
  auto stopped = timeless_files_in(path("stopped"));
  whole.erase("config.toml");
  stopped.erase("config.toml");
  expect_same_files(whole, stopped);
}

TEST_F(Folder, ABadPictureStopsTheRunByName) {
  put("train/green", 7, "no picture");
  EXPECT_TRUE(contains(error_of(train("run")), "data/train/green/7.ppm: is not a picture"));
}

TEST_F(Folder, OrIsPassedOverAndListed) {
  put("train/green", 7, "no picture");
  put("val/red", 3, "");
  const Ended ended = run_program(train("run") + set("data.on_error=skip"));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_TRUE(contains(ended.err, "passed over train/green/7.ppm: is not a picture")) << ended.err;
  EXPECT_TRUE(contains(ended.out, "2 pictures cannot be read: 1 of train/")) << ended.out;
  const Json unreadable = read_json(path("run/result.json")).at("unreadable");
  EXPECT_EQ(unreadable.at("train"), 1);
  EXPECT_EQ(unreadable.at("val"), 1);
  EXPECT_EQ(unreadable.at("files").at(1).at("file"), "val/red/3.ppm");
  EXPECT_EQ(unreadable.at("files").at(1).at("why"), "is empty, expected a picture");
  EXPECT_EQ(read_json(path("run/unreadable.json")), unreadable);
  // 59 pictures are left of the test set: errors are multiples of 1/59.
  const double errors = read_json(path("run/result.json")).at("test_error_pct").get<double>() * 59 / 100;
  EXPECT_NEAR(errors, std::round(errors), 1e-9);
}

// Each process meets its own share of an epoch; the first one lists what all have met. Without a test,
// nothing goes over all pictures afterwards.
TEST_F(Folder, ListsWhatAnyOfSeveralProcessesPassedOver) {
  for (const char* name : kClasses) {
    for (int i = 0; i < 4; ++i) put(std::string("train/") + name, i, "no picture");
  }
  const Json result =
      trained(train("run") + set("data.on_error=skip") + set("train.epochs=1") + set("run.test=false") +
              set("arm=[{norm=\"gn:2\"}]") + Words{"--nproc", "2", "--threads", "1"});
  EXPECT_EQ(result.at("unreadable").at("train"), 12);
  EXPECT_EQ(read_json(path("run/unreadable.json")), result.at("unreadable"));
}

TEST_F(Folder, PredictsAndExports) {
  const Json result = trained(train("run"));
  Words pictures;
  for (int i = 0; i < 20; ++i) pictures.push_back(path("data/val/red/" + std::to_string(i) + ".ppm"));
  fs::create_directory(folder_ / "elsewhere");
  const Json answer = json_of({"export", path("run"), "--to", path("colours.onnx"), "--json"});
  EXPECT_EQ(answer.at("test_error_pct").at("file"), result.at("test_error_pct"));
  const Json of_file =
      json_of({"eval", path("colours.onnx"), "--dataset", "folder", "--data", path("data"), "--json"});
  EXPECT_EQ(of_file.at("test_samples"), 60);
  EXPECT_EQ(of_file.at("test_error_pct"), result.at("test_error_pct"));
  fs::rename(folder_ / "data", folder_ / "gone");
  for (std::string& picture : pictures) picture.replace(picture.find("/data/"), 6, "/gone/");
  int red = 0;
  for (const std::string& model : {path("run"), path("colours.onnx")}) {
    for (const Json& one : json_of(Words{"predict", model} + pictures + Words{"--json"}))
      red += one.at("class") == "red" ? 1 : 0;
  }
  EXPECT_GE(red, 30) << "of 40";
}

TEST_F(Folder, SaysWhatIsWrong) {
  EXPECT_TRUE(contains(error_of(train("run") + set("data.path=" + path("run"))), "has no folder train"));
  EXPECT_TRUE(
      contains(error_of(train("run") + set("data.resize=20")), "data.resize: 20 pixels, expected at least"));
  EXPECT_TRUE(
      contains(error_of(train("run") + set("data.crop_scale=[0.5,0.1]")), "data.crop_scale: expected two"));
  EXPECT_TRUE(contains(error_of(train("run") + set("data.hue=0.6")), "data.hue is 0.6, expected 0 to 0.5"));
  EXPECT_TRUE(contains(error_of(train("run") + set("data.on_error=ignore")), "expected one of: stop, skip"));
  fs::remove_all(folder_ / "data/val/red");
  EXPECT_TRUE(contains(error_of(train("run")), "val: has no folder for the class 'red' of train"));
  EXPECT_FALSE(fs::exists(path("run")));
}

TEST_F(Folder, IsRead) {
  const Json answer = json_of({"bench", "data", path("data"), "--size", "28", "--batch-size", "20",
                               "--rounds", "1", "--workers", "0", "--workers", "2", "--json"});
  ASSERT_EQ(answer.at("loaders").size(), 2U);
  for (const Json& loader : answer.at("loaders"))
    EXPECT_GT(loader.at("images_per_second").at(0).get<double>(), 0);
}

}  // namespace
}  // namespace refnorm
