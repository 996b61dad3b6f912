#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

namespace refnorm::deploy {

/// Computes an ONNX file by LibTorch's operators, one node after the other: for what the runtime at hand
/// lacks, and as a second opinion on what it has. Knows the operators that to_onnx() writes.
class OnnxEvaluator {
 public:
  /// Throws UserError, naming `origin`, for what is not ONNX, and for an operator or attribute that it does
  /// not know.
  OnnxEvaluator(std::string_view bytes, const std::string& origin);

  /// images[N, …] -> the first output, float32, on the CPU.
  torch::Tensor operator()(const torch::Tensor& images) const;

  /// The file's metadata_props.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  struct Step {
    std::string op, name;
    std::vector<std::string> inputs;
    std::string output;
    std::map<std::string, std::vector<std::int64_t>> ints;
    std::map<std::string, double> floats;

    std::vector<std::int64_t> list(const std::string& attribute, std::vector<std::int64_t> otherwise) const;
    std::int64_t number(const std::string& attribute, std::int64_t otherwise) const;
    double real(const std::string& attribute, double otherwise) const;
  };
  using Values = std::map<std::string, torch::Tensor>;
  torch::Tensor compute(const Step& step, const Values& values) const;
  static torch::Tensor convolution(const Step& step, const std::vector<torch::Tensor>& in);
  static torch::Tensor pool(const Step& step, const torch::Tensor& x);

  std::string origin_, input_, output_;
  std::map<std::string, std::string> metadata_;
  Values constants_;
  std::vector<Step> steps_;
};

}  // namespace refnorm::deploy
