#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <torch/types.h>

namespace refnorm::metrics {

/// How many of scores[N, classes] have their largest score at labels[N] (the first of equals counts).
std::int64_t count_correct(const torch::Tensor& scores, const torch::Tensor& labels);

/// Errors by class, over batches.
class ClassErrors {
 public:
  void add(const torch::Tensor& scores, const torch::Tensor& labels);

  struct Worst {
    std::int64_t label = 0;
    double error_pct = 0;
  };
  /// The class with the largest share of errors (the first of equals); nothing without a sample.
  std::optional<Worst> worst() const;

 private:
  std::vector<std::int64_t> samples_, wrong_;  ///< by label
};

}  // namespace refnorm::metrics
