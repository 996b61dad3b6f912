#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/safetensors.h>

#include "tests/cli/small_run.h"

namespace refnorm {
namespace {

using namespace testing;

class Export : public SmallRun {
 protected:
  Json exported(const std::string& run, const std::string& to, const Words& more = {}) const {
    return json_of(Words{"export", path(run), "--to", path(to), "--json"} + more);
  }
  std::set<std::string> names_in(const std::string& file) const {
    std::set<std::string> names;
    for (const auto& [name, tensor] : read_safetensors(path(file)).tensors) names.insert(name);
    return names;
  }
};

TEST_F(Export, ComputesInOnnxWhatTheRunDoes) {
  const Json result = trained(train("run"));
  const Json answer = exported("run", "model.onnx");
  EXPECT_EQ(answer.at("folded"), 4);
  EXPECT_EQ(answer.at("test_samples"), 200);
  EXPECT_EQ(answer.at("differing_predictions"), 0);
  EXPECT_LT(answer.at("largest_difference"), 1e-4);
  EXPECT_EQ(answer.at("test_error_pct").at("run"), result.at("test_error_pct"));
  EXPECT_EQ(answer.at("test_error_pct").at("file"), result.at("test_error_pct"));
  EXPECT_EQ(answer.at("bytes"), std::filesystem::file_size(path("model.onnx")));
}

TEST_F(Export, ByOtherStatistics) {
  const Json result = trained(train("run"));
  const Json answer = exported("run", "model.onnx", {"--statistics", "running"});
  EXPECT_EQ(answer.at("test_error_pct").at("file"), result.at("test_error_pct_by_statistics").at("running"));
}

TEST_F(Export, OfANormThatIsNotAffine) {
  trained(train("run") + Words{"--set", "arm.2.norm=gn:2"});
  const Json answer = exported("run", "model.onnx");
  EXPECT_EQ(answer.at("folded"), 0);
  EXPECT_TRUE(answer.at("statistics").is_null());
  EXPECT_EQ(answer.at("differing_predictions"), 0);
}

TEST_F(Export, OfARunInBfloat16IsInFloat32) {
  trained(train("run") + Words{"--set", "train.precision=bf16"});
  const Json answer = exported("run", "model.safetensors");
  EXPECT_LT(answer.at("largest_difference"), 1e-4);
  for (const auto& [name, tensor] : read_safetensors(path("model.safetensors")).tensors)
    EXPECT_EQ(tensor.dtype, "F32") << name;
}

TEST_F(Export, WeightsAreNamedAsInPyTorch) {
  trained(train("run"));
  exported("run", "folded.safetensors");
  exported("run", "plain.safetensors", {"--no-fold"});
  std::set<std::string> layers;
  for (const char* layer : {"conv1", "conv2", "fc1", "fc2", "fc3"}) {
    for (const char* kind : {".weight", ".bias"}) layers.insert(std::string(layer) + kind);
  }
  EXPECT_EQ(names_in("folded.safetensors"), layers);
  for (const char* norm : {"norm1", "norm2", "norm3", "norm4"}) {
    for (const char* kind : {".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"})
      layers.insert(std::string(norm) + kind);
  }
  EXPECT_EQ(names_in("plain.safetensors"), layers) << "as of nn.BatchNorm2d: no reference is left";
}

TEST_F(Export, PyTorchLoadsTheWeights) {
  const std::string script = REFNORM_SOURCE "/tests/cli/pytorch_loads.py";
  if (!Subprocess({REFNORM_PYTHON, "-c", "import torch"}).wait().ok())
    GTEST_SKIP() << "no Python with torch here (python3-torch)";
  const double error = trained(train("run")).at("test_error_pct");
  exported("run", "folded.safetensors");
  exported("run", "plain.safetensors", {"--no-fold"});
  Subprocess python({REFNORM_PYTHON, script, path("folded.safetensors"), path("plain.safetensors"),
                     path("data/t10k-images-idx3-ubyte"), path("data/t10k-labels-idx1-ubyte")},
                    path("said"));
  ASSERT_TRUE(python.wait().ok()) << read_file(path("said"));
  const Json found = Json::parse(read_file(path("said")));
  EXPECT_LT(found.at("gap"), 1e-4);
  EXPECT_NEAR(found.at("test_error_pct").at("folded").get<double>(), error, 1e-9);
  EXPECT_NEAR(found.at("test_error_pct").at("plain").get<double>(), error, 1e-9);
}

TEST_F(Export, EvalTestsTheFileByItself) {
  const double error = trained(train("run")).at("test_error_pct");
  exported("run", "model.onnx");
  exported("run", "folded.safetensors");
  exported("run", "plain.safetensors", {"--no-fold"});
  for (const char* file : {"model.onnx", "folded.safetensors", "plain.safetensors"}) {
    const Json answer = json_of(Words{"eval", path(file), "--data", path("data"), "--json"});
    EXPECT_NEAR(answer.at("test_error_pct").get<double>(), error, 1e-9) << file;
    EXPECT_EQ(answer.at("test_samples"), 200) << file;
  }
  EXPECT_TRUE(contains(error_of({"eval", path("model.onnx"), "--checkpoint", "best"}),
                       "--checkpoint: is of run folders"));
  EXPECT_TRUE(contains(error_of({"eval", path("run"), "--dataset", "mnist"}), "--dataset: is of files"));
  EXPECT_TRUE(contains(error_of({"eval", path("model.onnx"), "--data", path("none")}), path("none")));
  // A checkpoint's weights say nothing of pictures and classes.
  EXPECT_TRUE(contains(error_of({"eval", path("run/last/model.safetensors"), "--data", path("data")}),
                       "model.safetensors: "));
  write_file(path("broken.onnx"), read_file(path("model.onnx")).substr(0, 3000));
  EXPECT_TRUE(contains(error_of({"eval", path("broken.onnx"), "--data", path("data")}), "broken.onnx: "));
}

TEST_F(Export, SaysWhatIsWrongAndWritesNothing) {
  trained(train("run"));
  EXPECT_EQ(error_of({"export", path("run"), "--to", path("model.pth")}),
            "--to " + path("model.pth") + ": expected FILE.onnx or FILE.safetensors");
  EXPECT_TRUE(contains(error_of({"export", path("none"), "--to", path("model.onnx")}),
                       path("none") + ": not a run folder"));
  EXPECT_TRUE(
      contains(error_of({"export", path("run"), "--to", path("no/folder/model.onnx")}, 1), "no/folder"));
  EXPECT_FALSE(exists("model.pth"));
  EXPECT_FALSE(exists("model.onnx"));
  // Damaged weights are found by their checksum.
  std::string bytes = read_file(path("run/last/model.safetensors"));
  bytes[bytes.size() - 5] ^= 1;
  write_file(path("run/last/model.safetensors"), bytes);
  EXPECT_TRUE(contains(error_of({"export", path("run"), "--to", path("model.onnx")}), "model.safetensors"));
  EXPECT_FALSE(exists("model.onnx"));
}

}  // namespace
}  // namespace refnorm
