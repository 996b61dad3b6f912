#pragma once

#include <string>
#include <vector>

#include <torch/nn/module.h>

#include <refnorm/base/safetensors.h>

namespace refnorm::train {

/// How a file's tensors fit a model's parameters and buffers.
struct WeightsMatch {
  struct Shape {
    std::string name;
    std::vector<std::int64_t> found, expected;
  };
  std::vector<std::string> fitting, missing, unexpected;
  std::vector<Shape> misshapen;

  /// Whether the model gets everything; what is unexpected does not matter.
  bool complete() const { return missing.empty() && misshapen.empty(); }
  /// "12 tensors fit; missing: fc3.weight, fc3.bias; wrongly shaped: conv1.weight [6, 3, 5, 5], expected [6,
  /// 1, 5, 5]; unexpected: head.weight".
  std::string to_string() const;
};

/// Compares names and shapes. Counters (num_batches_tracked; files from before PyTorch 0.4.1 have none) and
/// the statistics of a reference batch may be missing.
WeightsMatch match_weights(const torch::nn::Module& model, const Safetensors& weights);

/// Copies what fits, turned into the model's dtypes. Throws UserError naming `origin`, and changes nothing,
/// unless the match is complete or `partial` is set; where nothing fits at all, also then.
WeightsMatch load_weights(torch::nn::Module& model, const Safetensors& weights, const std::string& origin,
                          bool partial = false);

}  // namespace refnorm::train
