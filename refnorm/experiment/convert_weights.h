#pragma once

#include <filesystem>
#include <string>

#include <refnorm/base/json.h>

namespace refnorm::experiment {

struct ConversionRequest {
  std::filesystem::path weights;  ///< a safetensors file, or a state dictionary of Python's torch.save
  std::string model = "lenet5";
  std::string from;          ///< the norm that the weights were trained with; empty: by the names in the file
  std::string norm = "rbn";  ///< the norm that is wanted
  std::filesystem::path to;  ///< FILE.safetensors
  std::string data_kind = "mnist";
  std::filesystem::path data;    ///< empty: no reference is captured
  std::int64_t reference = 128;  ///< samples of the reference batch
  std::int64_t seed = 1;         ///< of the draw of the reference batch
  bool partial = false;          ///< load what fits; the rest is drawn as for a new network
};

/// A network of `model` with the weights of a file, its norms replaced by others (refnorm/norms/convert.h),
/// the reference taken from training samples where the new norm needs one, written as safetensors. Returns
/// how the weights fitted and what became of each norm.
///
/// Throws UserError where weights and network do not fit (unless `partial`), or a reference is needed and
/// there are no data.
Json convert_weights(const ConversionRequest& request);

}  // namespace refnorm::experiment
