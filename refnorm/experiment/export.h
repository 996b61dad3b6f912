#pragma once

#include <filesystem>

#include <refnorm/base/json.h>
#include <refnorm/experiment/trained_run.h>

namespace refnorm::experiment {

struct ExportRequest {
  TrainedRequest of;
  std::filesystem::path to;               ///< FILE.onnx or FILE.safetensors
  std::string statistics = "population";  ///< or "running"; of norms that have batch statistics
  bool fold = true;                       ///< affine norms go into the layers beside them
};

/// Writes a run's inference network to a file that other programs load, having compared what the file
/// computes with what the run's own network does on every test sample, in float32. Returns what docs/files.md
/// calls the answer of export: the largest difference of two scores, predictions that differ, both test
/// errors.
///
/// Throws UserError for another kind of file and for networks that cannot be exported, and Error where the
/// results differ beyond rounding; nothing is written then.
Json export_run(const std::filesystem::path& folder, const ExportRequest& request);

}  // namespace refnorm::experiment
