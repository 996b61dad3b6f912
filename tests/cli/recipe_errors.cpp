#include <gtest/gtest.h>

#include <refnorm/base/file.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;
namespace fs = std::filesystem;

/// What is wrong with recipe or data is found before anything is written.
class RecipeErrors : public SmallRun {
 protected:
  /// The error of `train … more`, which must leave no folder.
  std::string error(const Words& more) const {
    const std::string message = error_of(train("run", "BN") + more);
    EXPECT_FALSE(exists("run")) << message;
    return message;
  }
  std::string error_with(const std::string& setting) const { return error({"--set", setting}); }
  /// The error of a recipe of this text.
  std::string error_of_text(const std::string& text) const {
    write_file(folder_ / "other.toml", text);
    const std::string message = error_of(Words{"train", path("other.toml"), "--out", path("run")});
    EXPECT_FALSE(exists("run")) << message;
    EXPECT_TRUE(message.starts_with(path("other.toml") + ": ")) << message;
    return message;
  }
};

TEST_F(RecipeErrors, Keys) {
  EXPECT_TRUE(contains(error_with("train.epoch=1"),
                       "'train.epoch' is not a key of a recipe, did you mean "
                       "'train.epochs'?"));
  EXPECT_TRUE(contains(error_with("trian.epochs=1"), "'trian'"));
  EXPECT_TRUE(contains(error_with("arm.1.nrom=bn"), "did you mean 'norm'?"));
}

TEST_F(RecipeErrors, Values) {
  EXPECT_TRUE(contains(error_with("train.epochs=many"), "train.epochs is 'many', expected a whole number"));
  EXPECT_TRUE(contains(error_with("train.epochs=0"), "train.epochs is 0, expected 1 to 1000000"));
  EXPECT_TRUE(contains(error_with("train.lr=nan"), "train.lr is nan, expected a finite number"));
  EXPECT_TRUE(contains(error_with("train.optimizer=adam"), "expected one of: sgd"));
  EXPECT_TRUE(contains(error_with("model.kind=lenet6"), "did you mean 'lenet5'?"));
  EXPECT_TRUE(contains(error_with("arm.1.norm=bm"), "'bn'"));
  EXPECT_TRUE(contains(error_with("model.zero_init_residual=false"),
                       "model.zero_init_residual is of networks with residual blocks, lenet5 has none"));
}

TEST_F(RecipeErrors, SizesThatDoNotFitTheData) {
  EXPECT_TRUE(contains(error_with("data.validation=600"), "600 training samples"));
  EXPECT_TRUE(contains(error_with("train.batch_size=501"), "expected 1 to 500"));
  EXPECT_TRUE(contains(error_with("reference.size=501"), "the training set has 500"));
  // Found by the first batch only: a dense layer has one value a channel then.
  EXPECT_TRUE(contains(error_with("train.batch_size=1"), "more than 1 value a channel"));
}

TEST_F(RecipeErrors, SamplesDomainsAndGroups) {
  EXPECT_TRUE(contains(error_with("data.samples=501"), "expected 1 to 500 (the training set"));
  EXPECT_TRUE(contains(error_with("data.samples=-1"), "data.samples is -1, expected at least 0"));
  EXPECT_TRUE(contains(error_with("data.domains=[\"plain\",\"blured\"]"), "did you mean 'blurred'?"));
  EXPECT_TRUE(
      contains(error_with("data.domains=plain"), "data.domains is 'plain', expected a list of texts"));
  EXPECT_TRUE(contains(error_with("data.domains=[1]"), "data.domains is 1, expected a text"));
  EXPECT_TRUE(contains(error_with("sampler.kind=domain"), "expected a list of them as data.domains"));
  EXPECT_TRUE(contains(error_with("sampler.kind=group"), "expected a CSV file"));
  EXPECT_TRUE(contains(error_with("data.groups=" + path("none.csv")), path("none.csv") + ": cannot be read"));
  write_file(folder_ / "groups.csv", "index,group\n0,a\n");
  const std::string groups = "data.groups=" + path("groups.csv");
  EXPECT_TRUE(contains(error_with(groups), path("groups.csv") + ": sample 1 has no group (599 samples"));
  EXPECT_TRUE(
      contains(error({"--set", groups, "--set", "data.domains=[\"plain\"]"}), "together with data.domains"));
}

TEST_F(RecipeErrors, WhatIsMeasuredAfterwardsIsCheckedBefore) {
  EXPECT_TRUE(contains(error_with("measure.corruptions=[\"nosy:0.3\"]"), "did you mean 'noisy'?"));
  EXPECT_TRUE(contains(error_with("measure.corruptions=[\"noisy\"]"), "expected a strength of 0 to 10"));
  EXPECT_TRUE(contains(error_with("measure.fgsm=2"), "measure.fgsm is 2, expected 0 to 1"));
  EXPECT_TRUE(contains(error_with("reference.sampler=pk:3"), "reference.sampler, for 20 samples: "));
  EXPECT_FALSE(exists("run"));
}

TEST_F(RecipeErrors, FormsOfSet) {
  EXPECT_TRUE(contains(error_with("train.epochs"), "expected KEY=VALUE"));
  EXPECT_TRUE(contains(error_with("arm.3.norm=bn"), "'3' is not one of the 3 entries of arm"));
  EXPECT_TRUE(contains(error_with("train.epochs.x=1"), "does not hold keys"));
  // Lines after the value are no keys: they would go in, or get lost, without a word.
  EXPECT_TRUE(contains(error_with("train.epochs=1\nmodel.kind='x'"), "expected a whole number"));
}

TEST_F(RecipeErrors, Arms) {
  const Words all{"train", path("recipe.toml"), "--out", path("run")};
  EXPECT_TRUE(contains(error_of(all), "3 arms, expected one of: none, BN, RBN"));
  EXPECT_TRUE(contains(error_of(all + Words{"--arm", "RBM"}), "did you mean 'RBN'?"));
  EXPECT_TRUE(contains(error_with("arm.2.name=bn"), "two arms are called 'bn'"));
  EXPECT_FALSE(exists("run"));
}

TEST_F(RecipeErrors, Files) {
  EXPECT_TRUE(contains(error_of_text(""), "no arm"));
  EXPECT_TRUE(contains(error_of_text("name = \"x\"\n[train\n"), "line 2: not valid TOML"));
  EXPECT_TRUE(contains(error_of(Words{"train", path("none.toml"), "--out", path("run")}),
                       path("none.toml") + ": cannot be read"));
  EXPECT_TRUE(contains(error_of(Words{"train", path("data"), "--out", path("run")}), "not a regular file"));
}

TEST_F(RecipeErrors, Data) {
  EXPECT_TRUE(contains(error_with("data.path=" + path("none")),
                       "`refnorm fetch mnist --to " + path("none") + "` gets them"));
  const std::string images = path("data/train-images-idx3-ubyte");
  const std::string labels = path("data/t10k-labels-idx1-ubyte");
  const std::string whole = read_file(images);
  fs::resize_file(images, whole.size() - 1);
  EXPECT_TRUE(contains(error({}), images + ": cut short"));
  write_file(images, whole);
  std::string wrong = read_file(labels);
  wrong[8 + 5] = 10;  // 8 bytes of header
  write_file(labels, wrong);
  EXPECT_TRUE(contains(error({}), labels + ": label 10 of sample 5"));
}

TEST_F(RecipeErrors, ACompareFindsThemBeforeItsRunsDo) {
  for (const char* setting : {"reference.size=501", "arm.0.norm=bm"}) {
    error_of(compare("all") + Words{"--set", setting});
    EXPECT_FALSE(exists("all")) << setting;
  }
  error_of(compare("all") + Words{"--set", "data.path=" + path("none")});
  EXPECT_FALSE(exists("all"));
}

TEST_F(RecipeErrors, PlacesThatCannotBeWritten) {
  EXPECT_TRUE(contains(error_of(train("recipe.toml")), "recipe.toml: cannot be made a folder"));
  EXPECT_TRUE(contains(error_of(train("recipe.toml/run")), "cannot be made a folder"));
  EXPECT_TRUE(contains(error_of(train(std::string(300, 'x'))), "File name too long"));
  // Nobody makes folders in /proc, root included.
  EXPECT_TRUE(contains(error_of(Words{"train", path("recipe.toml"), "--arm", "BN", "--out", "/proc/run"}),
                       "/proc/run: cannot be made a folder"));
  EXPECT_TRUE(contains(error_of(compare("recipe.toml")), "cannot be made a folder"));
  // Files of a run that nobody can tell the recipe of.
  fs::create_directories(folder_ / "stray/last");
  EXPECT_TRUE(contains(error_of(train("stray")), "holds last and no config.toml"));
  EXPECT_TRUE(contains(error_of(train("stray") + Words{"--resume"}), "holds last and no config.toml"));
}

}  // namespace
}  // namespace refnorm
