#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;

/// Weights of a BN run, as another program would bring them.
class Convert : public SmallRun {
 protected:
  void SetUp() override {
    trained(train("run", "BN"));
    json_of(Words{"export", path("run"), "--to", path("bn.safetensors"), "--no-fold", "--json"});
  }
  Json converted(const std::string& norm, const Words& more = {}) const {
    return json_of(
        Words{"convert", path("bn.safetensors"), "--norm", norm, "--to", path("to.safetensors"), "--json"} +
        more);
  }
  /// The file with its tensors changed.
  void change(const std::function<void(Safetensors&)>& how) const {
    Safetensors content = read_safetensors(path("bn.safetensors"));
    how(content);
    write_safetensors(path("bn.safetensors"), content);
  }
};

TEST_F(Convert, CarriesTheWeightsOverAndTakesAReference) {
  const Json answer = converted("rbn", {"--data", path("data"), "--reference", "16"});
  EXPECT_EQ(answer.at("from"), "bn");
  EXPECT_EQ(answer.at("reference"), 16);
  EXPECT_EQ(answer.at("layers").size(), 4U);
  const Safetensors before = read_safetensors(path("bn.safetensors"));
  const Safetensors after = read_safetensors(path("to.safetensors"));
  for (const auto& [name, tensor] : before.tensors) {
    ASSERT_NE(after.find(name), nullptr) << name;
    EXPECT_EQ(after.find(name)->bytes, tensor.bytes) << name;
  }
  ASSERT_NE(after.find("norm2.ref_mean"), nullptr);
  EXPECT_EQ(after.find("norm2.ref_mean")->shape, std::vector<std::int64_t>{16});
  EXPECT_EQ(after.find("norm2.num_ref_captures")->bytes[0], 1);
}

TEST_F(Convert, TrainingGoesOnFromTheFile) {
  converted("gn:2");
  const Json fresh = trained(train("fresh") + Words{"--set", "arm.2.norm=gn:2", "--set", "train.epochs=1"});
  const Json further = trained(train("further") + Words{"--set", "arm.2.norm=gn:2", "--set", "train.epochs=1",
                                                        "--set", "model.weights=" + path("to.safetensors")});
  EXPECT_LT(further.at("train_error_pct"), fresh.at("train_error_pct")) << "two epochs are behind it";
  // A trained run needs them no more.
  std::filesystem::remove(path("to.safetensors"));
  EXPECT_EQ(json_of(Words{"eval", path("further"), "--json"}).at("test_error_pct"),
            further.at("test_error_pct"));
}

TEST_F(Convert, ReportsWhatDoesNotFit) {
  change([](Safetensors& content) {
    std::erase_if(content.tensors, [](const auto& tensor) { return tensor.first == "conv2.bias"; });
    content.tensors.emplace_back("head.bias", RawTensor{"F32", {1}, std::string(4, '\0')});
    for (auto& [name, tensor] : content.tensors) {
      if (name == "fc2.bias") tensor.shape = {42, 2};
    }
  });
  const std::string what =
      "28 tensors fit; missing: conv2.bias; wrongly shaped: fc2.bias [42, 2], expected [84]; unexpected: "
      "head.bias";
  EXPECT_EQ(error_of({"convert", path("bn.safetensors"), "--norm", "gn:2", "--to", path("to.safetensors")}),
            path("bn.safetensors") + ": does not fit this network: " + what);
  EXPECT_FALSE(exists("to.safetensors"));
  EXPECT_EQ(converted("gn:2", {"--partial"}).at("weights").at("words"), what);
}

TEST_F(Convert, SaysWhatIsWrong) {
  const auto error = [&](const Words& words) { return error_of(Words{"convert"} + words); };
  EXPECT_TRUE(
      contains(error({path("bn.safetensors"), "--norm", "rbn", "--to", path("to.safetensors")}), "--data"));
  EXPECT_TRUE(contains(error({path("recipe.toml"), "--norm", "gn:2", "--to", path("to.safetensors")}),
                       "recipe.toml: is nothing known"));
  EXPECT_TRUE(contains(error({path("bn.safetensors"), "--norm", "gn:2", "--to", path("to.onnx")}),
                       "expected FILE.safetensors"));
  EXPECT_TRUE(
      contains(error({path("bn.safetensors"), "--norm", "gn:4", "--to", path("to.safetensors")}), "groups"));
  EXPECT_FALSE(exists("to.safetensors"));
}

}  // namespace
}  // namespace refnorm
