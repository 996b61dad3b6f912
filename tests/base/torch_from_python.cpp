// Files that Python's own torch.save wrote, by tests/base/torch_files.py.
#include <gtest/gtest.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/weights_file.h>

#include "tests/base/helpers.h"

namespace refnorm {
namespace {

using testing::contains;
using testing::TemporaryFolder;

std::string hexadecimal(const std::string& bytes) {
  std::string digits;
  for (const char byte : bytes) digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return digits;
}

void expect_tensors(const Safetensors& content, const Json& expected) {
  ASSERT_EQ(content.tensors.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& [name, tensor] = content.tensors[i];
    EXPECT_EQ(name, expected[i][0]);
    EXPECT_EQ(tensor.dtype, expected[i][1]["dtype"]) << name;
    EXPECT_EQ(Json(tensor.shape), expected[i][1]["shape"]) << name;
    EXPECT_EQ(hexadecimal(tensor.bytes), expected[i][1]["bytes"]) << name;
  }
}

bool python_has_torch() {
  try {
    return Subprocess({REFNORM_PYTHON, "-c", "import torch"}).wait().ok();
  } catch (const Error&) {  // no Python at all
    return false;
  }
}

TEST(TorchFromPython, WhatItSavesIsReadExactly) {
  if (!python_has_torch()) {
    GTEST_SKIP() << REFNORM_PYTHON << " cannot import torch (python3-torch)";
  }
  const TemporaryFolder folder;
  Subprocess script({REFNORM_PYTHON, "-W", "ignore", REFNORM_TORCH_FILES, folder.path().string()},
                    folder / "log");
  ASSERT_TRUE(script.wait().ok()) << read_file(folder / "log");
  const Json files = read_json(folder / "expected.json");
  EXPECT_EQ(files.size(), 40U);
  for (const Json& file : files) {
    const std::string name = file["file"].get<std::string>();
    SCOPED_TRACE(name);
    if (file.contains("error")) {
      const std::string message = testing::user_error_of([&] { read_weights(folder / name); });
      EXPECT_TRUE(contains(message, file["error"].get<std::string>())) << message;
    } else {
      ASSERT_NO_THROW(expect_tensors(read_weights(folder / name), file["tensors"]));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "executed"));
}

}  // namespace
}  // namespace refnorm
