#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <torch/types.h>

namespace refnorm::metrics {

/// How many of scores[N, classes] have their largest score at labels[N] (the first of equals counts).
std::int64_t count_correct(const torch::Tensor& scores, const torch::Tensor& labels);

/// Errors by the part that each sample is in, such as its class or its domain, over batches.
class ErrorsByPart {
 public:
  /// parts[N], int64 from 0 on, on the host; by class they are the labels.
  void add(const torch::Tensor& scores, const torch::Tensor& labels, const torch::Tensor& parts);

  /// Of one part; nothing without a sample of it.
  std::optional<double> error_pct(std::size_t part) const;

  struct Worst {
    std::int64_t part = 0;
    double error_pct = 0;
  };
  /// The part with the largest share of errors (the first of equals); nothing without a sample.
  std::optional<Worst> worst() const;

 private:
  std::vector<std::int64_t> samples_, wrong_;  ///< by part
};

}  // namespace refnorm::metrics
