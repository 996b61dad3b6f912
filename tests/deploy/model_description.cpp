#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <refnorm/deploy/model_description.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using namespace testing;
using deploy::description_from;
using deploy::ModelDescription;

using Metadata = std::map<std::string, std::string>;

ModelDescription colours() {
  ModelDescription d;
  d.input = "in";
  d.output = "out";
  d.channels = 3;
  d.height = 20;
  d.width = 30;
  d.mean = {0.1, 1.0 / 3, 0.5};
  d.std = {0.25, 1e-3, 1};
  d.classes = {"T-shirt/top", "\"quoted\", with a comma", "Häuser", ""};
  d.model = "lenet5";
  d.norm = "rbn:fixed,weight=0.1";
  d.recipe = "a recipe";
  d.arm = "RBN fixed";
  return d;
}

TEST(ModelDescription, ComesBackAsItWas) {
  const ModelDescription before = colours();
  Metadata metadata = to_metadata(before);
  metadata["author"] = "somebody else's key";
  const ModelDescription after = description_from(metadata, "file");
  EXPECT_EQ(after.input, before.input);
  EXPECT_EQ(after.output, before.output);
  EXPECT_EQ(after.channels, before.channels);
  EXPECT_EQ(after.height, before.height);
  EXPECT_EQ(after.width, before.width);
  EXPECT_EQ(after.mean, before.mean);  // every bit: no digit of a double is lost in text
  EXPECT_EQ(after.std, before.std);
  EXPECT_EQ(after.classes, before.classes);
  EXPECT_EQ(after.model, before.model);
  EXPECT_EQ(after.norm, before.norm);
  EXPECT_EQ(after.recipe, before.recipe);
  EXPECT_EQ(after.arm, before.arm);
}

TEST(ModelDescription, WhetherThereIsOne) {
  EXPECT_TRUE(deploy::has_description(to_metadata(colours())));
  EXPECT_TRUE(deploy::has_description({{"a", ""}, {"refnorm.norm", "bn"}, {"z", ""}}));
  EXPECT_FALSE(deploy::has_description({}));
  EXPECT_FALSE(deploy::has_description({{"refnor", ""}, {"refnorms", ""}}));
}

TEST(ModelDescription, TextsMayBeMissing) {
  Metadata metadata = to_metadata(colours());
  for (const char* key : {"input", "output", "model", "norm", "recipe", "arm"})
    metadata.erase(std::string("refnorm.") + key);
  const ModelDescription d = description_from(metadata, "file");
  EXPECT_EQ(d.input, "images");
  EXPECT_EQ(d.output, "scores");
  EXPECT_EQ(d.norm, "");
}

TEST(ModelDescription, DamagedOnes) {
  const auto complaint = [](const std::string& key, const std::string& value) {
    Metadata metadata = to_metadata(colours());
    metadata[key] = value;
    const std::string said = user_error_of([&] { description_from(metadata, "the file"); });
    EXPECT_TRUE(said.starts_with("the file: ")) << said;
    EXPECT_TRUE(contains(said, key)) << said;
  };
  for (const char* value : {"", "{", "7", "{}", "null", R"(["a", 1])", "[]", R"({"a":"b"})"})
    complaint("refnorm.classes", value);
  for (const char* value :
       {"", "{", "7", "{}", "[]", R"({"channels":3,"height":20,"width":30,"mean":[0,0,0]})",
        R"({"channels":3.5,"height":20,"width":30,"mean":[0,0,0],"std":[1,1,1]})",
        R"({"channels":"3","height":20,"width":30,"mean":[0,0,0],"std":[1,1,1]})",
        R"({"channels":0,"height":20,"width":30,"mean":[],"std":[]})",
        R"({"channels":-1,"height":20,"width":30,"mean":[0],"std":[1]})",
        R"({"channels":3,"height":0,"width":30,"mean":[0,0,0],"std":[1,1,1]})",
        R"({"channels":3,"height":20,"width":1000000,"mean":[0,0,0],"std":[1,1,1]})",
        R"({"channels":3,"height":20,"width":99999999999999999999,"mean":[0,0,0],"std":[1,1,1]})",
        R"({"channels":3,"height":20,"width":30,"mean":[0,0],"std":[1,1,1]})",
        R"({"channels":3,"height":20,"width":30,"mean":[0,0,0],"std":[1,1,0]})",
        R"({"channels":3,"height":20,"width":30,"mean":[0,0,0],"std":[1,1,-1]})",
        R"({"channels":3,"height":20,"width":30,"mean":[0,0,"a"],"std":[1,1,1]})",
        R"({"channels":3,"height":20,"width":30,"mean":0,"std":1})"})
    complaint("refnorm.preprocessing", value);
  for (const char* key : {"refnorm.preprocessing", "refnorm.classes"}) {
    Metadata metadata = to_metadata(colours());
    metadata.erase(key);
    EXPECT_TRUE(contains(user_error_of([&] { description_from(metadata, "the file"); }), key));
  }
}

TEST(ModelDescription, OnesThatCannotBeWritten) {
  ModelDescription d = colours();
  d.std[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(contains(message_of<Error>([&] { to_metadata(d); }), "std"));
  d = colours();
  d.classes.clear();
  EXPECT_TRUE(contains(message_of<Error>([&] { to_metadata(d); }), "class"));
  d = colours();
  d.mean.pop_back();
  EXPECT_TRUE(contains(message_of<Error>([&] { to_metadata(d); }), "mean"));
}

}  // namespace
}  // namespace refnorm
