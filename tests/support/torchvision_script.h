#pragma once

#include <cstring>
#include <optional>
#include <string>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/subprocess.h>
#include <refnorm/base/weights_file.h>

#include "tests/base/helpers.h"

namespace refnorm::testing {

/// What a script of Python's that imports torchvision leaves in `result`, given a folder for it; nothing
/// where torchvision is not there. Throws Error with what the script said where it fails.
inline std::optional<Safetensors> from_torchvision(const std::string& python, const std::string& script,
                                                   const std::string& result) {
  try {
    if (!Subprocess({python, "-c", "import torchvision"}).wait().ok()) return std::nullopt;
  } catch (const Error&) {  // no Python at all
    return std::nullopt;
  }
  const TemporaryFolder folder;
  Subprocess running({python, "-W", "ignore", script, folder.path().string()}, folder / "log");
  if (!running.wait().ok()) throw Error(read_file(folder / "log"));
  return read_weights(folder / result);
}

inline torch::Tensor tensor_of(const RawTensor& raw) {
  torch::Tensor tensor = torch::empty(raw.shape, raw.dtype == "I64" ? torch::kLong : torch::kFloat);
  if (tensor.nbytes() != raw.bytes.size()) throw Error("a tensor is of the dtype " + raw.dtype);
  std::memcpy(tensor.data_ptr(), raw.bytes.data(), raw.bytes.size());
  return tensor;
}

}  // namespace refnorm::testing
