#pragma once

#include <cstdint>

#include <torch/types.h>

namespace refnorm::metrics {

/// How many of scores[N, classes] have their largest score at labels[N] (the first of equals counts).
std::int64_t count_correct(const torch::Tensor& scores, const torch::Tensor& labels);

}  // namespace refnorm::metrics
