#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <refnorm/base/json.h>

namespace refnorm::experiment {

struct FileEvaluationRequest {
  std::string data_path = "data/mnist";
  std::string data_kind = "mnist";
  std::int64_t threads = 0;  ///< 0: one
};

/// Test error of an exported network over a data set, its pictures scaled as the file says. ONNX files are
/// computed by OpenCV's dnn, or node by node by LibTorch where dnn lacks an operator; a safetensors file is
/// loaded into the network that it names. Returns file, kind, computed_by, test_samples, test_error_pct.
///
/// Throws UserError where the file is damaged, or does not fit the data (channels, sizes, classes).
Json evaluate_file(const std::filesystem::path& file, const FileEvaluationRequest& request);

}  // namespace refnorm::experiment
