#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/small_run.h"
#include "tests/deploy/onnx_files.h"

namespace refnorm {
namespace {

using namespace testing;

class Predict : public SmallRun {
 protected:
  /// The first `count` test pictures as files; their names. Labels follow in labels().
  Words test_pictures(std::size_t count) const {
    const std::string images = read_file(folder_ / "data/t10k-images-idx3-ubyte");
    Words files;
    for (std::size_t i = 0; i < count; ++i) {
      files.push_back(path(fmt::format("{}.pgm", i)));
      write_file(files.back(), "P5\n28 28\n255\n" + images.substr(16 + i * 784, 784));
    }
    return files;
  }
  std::string labels() const { return read_file(folder_ / "data/t10k-labels-idx1-ubyte").substr(8); }

  double error_pct(const Json& found) const {
    const std::string right = labels();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < found.size(); ++i)
      wrong += found[i].at("class") != std::to_string(static_cast<int>(right[i])) ? 1 : 0;
    return 100.0 * static_cast<double>(wrong) / static_cast<double>(found.size());
  }

  Json predicted(const std::string& model, const Words& pictures, const Words& more = {}) const {
    return json_of(Words{"predict", path(model)} + pictures + more + Words{"--json"});
  }

  void write_network(const std::string& name, const OnnxFile& file) const {
    write_file(folder_ / name, file.bytes());
  }
};

const std::map<std::string, std::string> kLetters{
    {"refnorm.preprocessing", R"({"channels":1,"height":28,"width":28,"mean":[0.5],"std":[0.5]})"},
    {"refnorm.classes", R"(["a","b","c","d","e","f","g","h","i","j"])"}};

TEST_F(Predict, ARunWithoutItsData) {
  const Json result = trained(train("run"));
  const Words pictures = test_pictures(200);
  const Json by_modes = result.at("test_error_pct_by_statistics");
  const std::string right = labels();
  std::filesystem::rename(folder_ / "data", folder_ / "elsewhere");
  const auto error_of_found = [&](const Json& found) {
    std::filesystem::rename(folder_ / "elsewhere", folder_ / "data");
    const double error = error_pct(found);
    std::filesystem::rename(folder_ / "data", folder_ / "elsewhere");
    return error;
  };
  EXPECT_NEAR(error_of_found(predicted("run", pictures)), by_modes.at("population").get<double>(), 1e-9);
  EXPECT_NEAR(error_of_found(predicted("run", pictures, {"--statistics", "running"})),
              by_modes.at("running").get<double>(), 1e-9);
  // Population statistics of the best checkpoint are made of the data.
  const Words best{"predict", path("run"), pictures[0], "--checkpoint", "best"};
  EXPECT_TRUE(contains(error_of(best), path("data")));
  EXPECT_EQ(json_of(best + Words{"--data", path("elsewhere"), "--json"}).size(), 1U);
  EXPECT_EQ(json_of(best + Words{"--statistics", "running", "--json"}).size(), 1U);
}

TEST_F(Predict, OtherNorms) {
  const Words pictures = test_pictures(200);
  // A norm without batch statistics, one that evaluates by a reference batch, and an unfinished run.
  for (const char* norm : {"none", "gn:2", "vbn", "rbn:fixed"}) {
    const std::string out = std::string("run-") + norm;
    const Json result = trained(train(out) + Words{"--set", fmt::format("arm.2.norm={}", norm)});
    EXPECT_NEAR(error_pct(predicted(out, pictures)), result.at("test_error_pct").get<double>(), 1e-9) << norm;
  }
  EXPECT_TRUE(contains(error_of(Words{"predict", path("run-none"), pictures[0], "--statistics", "running"}),
                       "'none' has no batch statistics"));
}

TEST_F(Predict, AnOnnxFile) {
  write_network("m.onnx", small_network().metadata(kLetters));
  const Words pictures = test_pictures(2);
  const Json found = predicted("m.onnx", pictures, {"--top", "10"});
  ASSERT_EQ(found.size(), 2U);
  std::set<std::string> names;
  double sum = 0;
  double before = 1;
  EXPECT_EQ(found[0].at("image"), pictures[0]);
  for (const Json& guess : found[0].at("classes")) {
    const double probability = guess.at("probability");
    EXPECT_LE(probability, before);
    before = probability;
    sum += probability;
    names.insert(guess.at("class").get<std::string>());
  }
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_EQ(names.size(), 10U);
  EXPECT_EQ(found[0].at("class"), found[0].at("classes")[0].at("class"));
  EXPECT_EQ(found[0].at("probability"), found[0].at("classes")[0].at("probability"));
  EXPECT_EQ(predicted("m.onnx", pictures)[1].at("classes").size(), 3U);
  const Ended text = run_program({"predict", path("m.onnx"), pictures[0], pictures[1], "--top", "1"});
  EXPECT_EQ(text.code, 0);
  EXPECT_EQ(text.err, "");
  EXPECT_EQ(text.out.substr(0, text.out.find(" (")),
            fmt::format("{}: {}", pictures[0], found[0].at("class").get<std::string>()));
}

TEST_F(Predict, AFileWithoutMetadataSaysWhatIsAssumed) {
  write_network("m.onnx", small_network());
  const Ended ended = run_program({"predict", path("m.onnx"), test_pictures(1)[0], "--json"});
  EXPECT_TRUE(contains(ended.err, "assuming")) << ended.err;
  EXPECT_EQ(ended.code, 0);
}

TEST_F(Predict, ThePictureScaledAsTheFileSays) {
  // One pixel: score a is the value that the network sees, b is 0.
  OnnxFile file({-1, 1, 1, 1}, {-1, 2});
  file.weight("w", {1, 2}, {1, 0}).node("Flatten", {"images"}, "f").node("MatMul", {"f", "w"}, "scores");
  file.metadata(
      {{"refnorm.preprocessing", R"({"channels":1,"height":1,"width":1,"mean":[0.5],"std":[0.25]})"},
       {"refnorm.classes", R"(["a","b"])"}});
  write_network("m.onnx", file);
  write_file(folder_ / "p.pgm", "P5\n1 1\n255\n\xcc");  // 0.8: (0.8 − 0.5) / 0.25 = 1.2
  const auto chance_of_a = [&](const Words& more) {
    const Json found = predicted("m.onnx", {path("p.pgm")}, more)[0];
    return found.at("class") == "a" ? found.at("probability").get<double>()
                                    : 1 - found.at("probability").get<double>();
  };
  EXPECT_NEAR(chance_of_a({}), 1 / (1 + std::exp(-1.2)), 1e-6);
  EXPECT_NEAR(chance_of_a({"--invert"}), 1 / (1 + std::exp(1.2)), 1e-6);
}

TEST_F(Predict, ABrokenPictureAmongOthers) {
  write_network("m.onnx", small_network().metadata(kLetters));
  const Words good = test_pictures(2);
  write_file(folder_ / "broken.png", "\x89PNG\r\n\x1a\nno more");
  const Words words{"predict", path("m.onnx"), good[0], path("broken.png"), path("none.png"), good[1]};
  const Ended ended = run_program(words + Words{"--json"});
  const Json found = json_of(ended, 1);
  ASSERT_EQ(found.size(), 4U);
  EXPECT_TRUE(found[0].contains("class"));
  EXPECT_TRUE(contains(found[1].at("error").get<std::string>(), "broken.png: "));
  EXPECT_TRUE(found[3].contains("class"));
  // A line for each, and none of the decoder's own.
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 2) << ended.err;
  EXPECT_TRUE(contains(ended.err, "refnorm: error: " + path("broken.png")));
  const Ended text = run_program(words);
  EXPECT_EQ(text.code, 1);
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 2) << text.out;
  EXPECT_TRUE(contains(error_of(Words{"predict", path("m.onnx"), path("broken.png")}), "broken.png: "));
  EXPECT_EQ(run_program({"predict", path("m.onnx"), path("broken.png"), path("none.png")}).code, 2);
}

TEST_F(Predict, Drawn) {
  write_network("m.onnx", small_network().metadata(kLetters));
  const Words pictures = test_pictures(1);
  std::filesystem::create_directory(folder_ / "more");
  std::filesystem::copy(pictures[0], folder_ / "more/0.pgm");
  const Json found =
      predicted("m.onnx", pictures + Words{path("more/0.pgm")}, {"--draw", path("drawn/here")});
  EXPECT_EQ(found[0].at("drawn"), path("drawn/here/0.png"));
  EXPECT_EQ(found[1].at("drawn"), path("drawn/here/0-2.png"));
  EXPECT_TRUE(read_file(found[1].at("drawn").get<std::string>()).starts_with("\x89PNG"));
  // Never over the pictures themselves.
  std::filesystem::rename(folder_ / "drawn/here/0.png", folder_ / "7.png");
  const std::string before = read_file(folder_ / "7.png");
  EXPECT_TRUE(
      contains(error_of(Words{"predict", path("m.onnx"), path("7.png"), "--draw", folder_.path().string()}),
               "would write over the picture"));
  EXPECT_EQ(read_file(folder_ / "7.png"), before);
}

TEST_F(Predict, WrongWords) {
  const std::string picture = test_pictures(1)[0];
  write_network("m.onnx", small_network());
  write_file(folder_ / "broken.onnx", "no network");
  EXPECT_TRUE(contains(error_of(Words{"predict", path("broken.onnx"), picture}),
                       path("broken.onnx") + ": not an ONNX file"));
  EXPECT_TRUE(contains(error_of(Words{"predict", path("none"), picture}), "no such run folder or file"));
  EXPECT_TRUE(contains(error_of(Words{"predict", path("data"), picture}), "not a run folder"));
  EXPECT_TRUE(contains(error_of(Words{"predict", path("recipe.toml"), picture}), "expected a run folder"));
  EXPECT_TRUE(contains(error_of(Words{"predict", path("m.onnx")}), "required"));
  EXPECT_TRUE(contains(error_of(Words{"predict", path("m.onnx"), picture, "--top", "0"}), "--top"));
  EXPECT_TRUE(contains(error_of(Words{"predict", path("m.onnx"), picture, "--statistics", "running"}),
                       "--statistics: is for a run folder"));
}

}  // namespace
}  // namespace refnorm
