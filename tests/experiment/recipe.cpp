#include <gtest/gtest.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/experiment/recipe.h>

#include "tests/base/helpers.h"
#include "tests/support/tensors.h"

namespace refnorm::experiment {
namespace {

using refnorm::testing::message_of;

constexpr const char* kSmall = R"(
name = "small"
[train]
epochs = 4
milestones = [2, 9]
[[arm]]
name = "RBN fixed"
norm = "rbn:fixed"
[[arm]]
norm = "bn"
[paper]
figure = "Figure 2"
numbers = { BN = 1.5, list = [1, 2] }
)";

class RecipeTest : public ::testing::Test {
 protected:
  Recipe read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    write_file(file_, text);
    return read_recipe(file_, overrides);
  }
  std::string error(const std::string& text, const std::vector<std::string>& overrides = {}) {
    std::string message = message_of<UserError>([&] { read(text, overrides); });
    const std::string prefix = file_.string() + ": ";
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }
  std::string with_arm(const std::string& text) { return text + "\n[[arm]]\nnorm = \"bn\"\n"; }

  std::filesystem::path file_ =
      std::filesystem::path(::testing::TempDir()) / ("recipe-" + std::to_string(::getpid()) + ".toml");
};

TEST_F(RecipeTest, FillsInDefaultsThatFit) {
  const Recipe recipe = read(kSmall);
  EXPECT_EQ(recipe.train.epochs, 4);
  EXPECT_EQ(recipe.train.batch_size, 128);
  EXPECT_EQ(recipe.data.kind, "mnist");
  EXPECT_EQ(recipe.arms.size(), 2U);
  EXPECT_EQ(recipe.arms[1].name, "bn") << "an arm without a name is called after its norm";
  EXPECT_EQ(recipe.paper.dump(), R"({"figure":"Figure 2","numbers":{"BN":1.5,"list":[1,2]}})");
}

TEST_F(RecipeTest, ReadsWhatItWrites) {
  Recipe recipe = read(kSmall, {"train.lr=0.1", "note=say \"so\""});
  const std::string text = to_toml(recipe);
  EXPECT_EQ(to_toml(read(text)), text);
  EXPECT_EQ(read(text).note, recipe.note);
  EXPECT_EQ(read(text).paper, recipe.paper);
  EXPECT_EQ(read(text).train.lr, 0.1);
}

TEST_F(RecipeTest, TakesListsOfTexts) {
  const Recipe recipe = read(kSmall, {"data.domains=[\"plain\", \"noisy\"]", "data.samples=40"});
  EXPECT_EQ(recipe.data.domains, (std::vector<std::string>{"plain", "noisy"}));
  EXPECT_EQ(read(to_toml(recipe)).data.domains, recipe.data.domains);
  EXPECT_EQ(read(to_toml(recipe)).data.samples, 40);
  EXPECT_TRUE(read(kSmall).data.domains.empty());
  EXPECT_EQ(error(with_arm("[data]\ndomains = \"plain\"")),
            "data.domains is 'plain', expected a list of texts");
  EXPECT_EQ(error(with_arm("[data]\ndomains = [1]")), "data.domains is 1, expected a text");
}

TEST_F(RecipeTest, CountsStepsInNumbersOrInShares) {
  EXPECT_EQ(read(kSmall).measure.every.of(4290), 0);
  EXPECT_EQ(read(kSmall, {"measure.every=50"}).measure.every.of(4290), 50);
  const Recipe share = read(kSmall, {"measure.every=2.5%"});
  EXPECT_EQ(share.measure.every.of(4290), 107);  // 107.25
  EXPECT_EQ(share.measure.every.of(3), 1) << "never less than one";
  EXPECT_EQ(read(to_toml(share)).measure.every.of(4290), 107);
  EXPECT_NE(to_toml(share).find("every = '2.5%'"), std::string::npos) << to_toml(share);
  for (const char* wrong : {"often", "10", "%", "0%", "101%", "-5%", "1.2.3%", "5 %"}) {
    const std::string found = error(with_arm(std::string("[measure]\nevery = \"") + wrong + "\""));
    EXPECT_TRUE(found.ends_with("expected a whole number of steps, or a share of the run's such as \"10%\""))
        << found;
  }
  EXPECT_EQ(error(kSmall, {"measure.every=-1"}), "measure.every is -1, expected at least 0");
  EXPECT_EQ(error(kSmall, {"measure.target=101"}), "measure.target is 101, expected 0 to 100");
}

TEST_F(RecipeTest, TakesANormAsATable) {
  const std::string arm = "[[arm]]\nname = \"a\"\n";
  EXPECT_EQ(read(arm + "norm = { kind = \"rbn\", live = true, weight = 0.25 }").arms[0].norm,
            "rbn:live,weight=0.25");
  EXPECT_EQ(read(arm + "[arm.norm]\nkind = \"gn\"\ngroups = 2").arms[0].norm, "gn:2");
  EXPECT_EQ(error(arm + "norm = { kind = \"gn\", groups = 0 }"),
            "arm.0: norm: gn: groups is '0', expected a whole number of at least 1");
}

TEST_F(RecipeTest, TakesOverridesAndSaysSo) {
  const Recipe recipe =
      read(kSmall, {"train.epochs=1", "arm.1.norm=rbn:live", "reference.size=16", "sampler.kind=iid"});
  EXPECT_EQ(recipe.train.epochs, 1);
  EXPECT_EQ(recipe.arms[1].norm, "rbn:live");
  EXPECT_EQ(recipe.reference.size, 16);
  EXPECT_EQ(
      recipe.note,
      "changed from the recipe: train.epochs=1, arm.1.norm=rbn:live, reference.size=16, sampler.kind=iid");
  EXPECT_EQ(read(kSmall, {"train.epochs=4", "run.seed=7"}).note, "") << "what changes nothing is not said";
}

TEST_F(RecipeTest, RejectsWhatItDoesNotKnowWithTheNearestKey) {
  EXPECT_EQ(error(with_arm("[train]\nepoch = 3")),
            "'train.epoch' is not a key of a recipe, did you mean 'train.epochs'?");
  EXPECT_EQ(error(with_arm("[trian]\nepochs = 3")),
            "'trian' is not a key of a recipe, did you mean 'train'?");
  EXPECT_EQ(error("[[arm]]\nnrom = \"bn\""), "'arm.0.nrom' is not a key of a recipe, did you mean 'norm'?");
  EXPECT_EQ(error(kSmall, {"train.lrr=1"}), "'train.lrr' is not a key of a recipe, did you mean 'train.lr'?");
}

TEST_F(RecipeTest, RejectsValuesOfTheWrongKindOrRange) {
  EXPECT_EQ(error(with_arm("[train]\nepochs = 0")), "train.epochs is 0, expected 1 to 1000000");
  EXPECT_EQ(error(with_arm("[train]\nepochs = 1.5")), "train.epochs is 1.5, expected a whole number");
  EXPECT_EQ(error(with_arm("[train]\nlr = \"fast\"")).substr(0, 11), "train.lr is");
  EXPECT_EQ(error(with_arm("[train]\nlr = inf")), "train.lr is inf, expected a finite number");
  EXPECT_EQ(error(with_arm("[train]\nmilestones = [3, 1]")), "train.milestones must rise");
  EXPECT_EQ(error(with_arm("[train]\nprecision = \"fp16\"")),
            "train.precision is 'fp16', expected one of: fp32, bf16");
  EXPECT_EQ(error(with_arm("train = 3")), "train is 3, expected a table, [train]");
  EXPECT_EQ(error("name = \"x\""), "no arm, expected at least one [[arm]] with name and norm");
  EXPECT_EQ(error("[[arm]]\nname = \"x\""), "arm.0 has no norm, expected such as norm = \"rbn\"");
  EXPECT_EQ(error("[[arm]]\nnorm = \"rbm\""), "arm.0: norm: 'rbm' is not known, did you mean 'rbn'?");
  EXPECT_EQ(error("[[arm]]\nname = \"A b\"\nnorm = \"bn\"\n[[arm]]\nname = \"a-B\"\nnorm = \"bn\""),
            "two arms are called 'a-B' (case and punctuation do not count)");
  EXPECT_NE(error("[train\nepochs = 3").find("line 1: not valid TOML"), std::string::npos);
}

TEST_F(RecipeTest, RejectsOverridesThatLeadNowhere) {
  EXPECT_NE(error(kSmall, {"epochs"}).find("expected KEY=VALUE"), std::string::npos);
  EXPECT_NE(error(kSmall, {"arm.2.norm=bn"}).find("not one of the 2 entries"), std::string::npos);
  EXPECT_NE(error(kSmall, {"arm.x.norm=bn"}).find("not one of the 2 entries"), std::string::npos);
  EXPECT_NE(error(kSmall, {"name.x=bn"}).find("does not hold keys"), std::string::npos);
  EXPECT_NE(error(kSmall, {"arm.0=bn"}).find("does not hold keys"), std::string::npos);
}

TEST_F(RecipeTest, FindsArmsByName) {
  const Recipe recipe = read(kSmall);
  EXPECT_EQ(find_arm(recipe, "rbn FIXED").norm, "rbn:fixed");
  EXPECT_NE(message_of<UserError>([&] { find_arm(recipe, ""); }).find("RBN fixed, bn"), std::string::npos);
  EXPECT_NE(message_of<UserError>([&] { find_arm(recipe, "RBM fixed"); }).find("did you mean 'RBN fixed'"),
            std::string::npos);
  EXPECT_EQ(folder_name("RBN fixed, w=0.1"), "rbn-fixed--w-0-1");
}

TEST_F(RecipeTest, NormsMayCountStepsInPercent) {
  EXPECT_EQ(with_steps("brn:warmup=10%,r_max_steps=80%,d_max=5", 3437),
            "brn:warmup=344,r_max_steps=2750,d_max=5");
  EXPECT_EQ(with_steps("brn:warmup=0.5%", 1000), "brn:warmup=5");
  EXPECT_EQ(with_steps("rbn:weight=0.3", 1000), "rbn:weight=0.3");
}

TEST_F(RecipeTest, ASettingOfASweepIsTheRecipeWithItsValues) {
  std::string text = kSmall;
  text.insert(text.find("[paper]"), "lr = 0.5\n");
  text += "[sweep]\ntrain.batch_size = [4, 16]\nsampler.kind = ['iid', 'pk:2']\n";
  const Recipe recipe = read(text);
  ASSERT_EQ(recipe.axes.size(), 2U);
  EXPECT_EQ(recipe.axes[0].key, "train.batch_size");
  EXPECT_EQ(recipe.axes[0].values, (std::vector<std::string>{"4", "16"}));
  EXPECT_EQ(recipe.axes[1].key, "sampler.kind");
  const Recipe setting =
      with_values(recipe, {{"train.batch_size", "16"}, {"sampler.kind", recipe.axes[1].values[1]}});
  EXPECT_TRUE(setting.axes.empty());
  EXPECT_EQ(setting.train.batch_size, 16);
  EXPECT_EQ(setting.sampler.kind, "pk:2");
  EXPECT_EQ(setting.note, recipe.note) << "a setting is no change of the recipe";
  ASSERT_FALSE(setting.arms.empty());
  EXPECT_EQ(setting.arms.back().lr, 0.5) << "of the last arm alone";
  EXPECT_FALSE(setting.arms.front().lr);
  EXPECT_EQ(to_toml(read(to_toml(recipe))), to_toml(recipe));
}

TEST(Recipes, OfTheTreeAreReadable) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(REFNORM_RECIPES)) {
    if (entry.path().filename() == "tuxpaint_crops.py") continue;  // makes the data of one of them
    const Recipe recipe = read_recipe(entry.path());
    EXPECT_EQ(recipe.name, entry.path().stem().string());
    EXPECT_NO_THROW(read_recipe(entry.path(), {"train.epochs=1"}))
        << "milestones may lie beyond the last epoch";
    ++count;
  }
  EXPECT_GE(count, 2);
}

}  // namespace
}  // namespace refnorm::experiment
