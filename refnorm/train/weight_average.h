#pragma once

#include <cstdint>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <refnorm/train/tensor_file.h>

namespace refnorm::train {

/// The exponential moving average of a network's parameters and floating-point buffers:
///
///     average <- d · average + (1 − d) · value,   d = min(decay, (1 + t)/(10 + t)) after t steps,
///
/// so that the first steps do not count for long. Counters are taken over as they are.
class WeightAverage {
 public:
  WeightAverage(torch::nn::Module& network, double decay);

  /// After step t (from 1).
  void update(std::int64_t step);
  /// Exchanges the network's values and the averaged ones.
  void swap();

  /// The values that the network does not hold at the moment, by name.
  Safetensors save() const;
  /// Throws UserError where a tensor is missing or of another shape.
  void load(const Safetensors& state, const std::string& origin);

  static constexpr const char* kPrefix = "weights/";

 private:
  double decay_;
  std::vector<std::pair<std::string, torch::Tensor>> values_;  ///< the network's own
  std::vector<torch::Tensor> averages_;
};

/// The averaged values are in the network while it lives; `average` may be null.
class Averaged {
 public:
  explicit Averaged(WeightAverage* average) : average_(average) {
    if (average_ != nullptr) average_->swap();
  }
  ~Averaged() {
    if (average_ != nullptr) average_->swap();
  }
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  WeightAverage* average_;
};

}  // namespace refnorm::train
