#include <torch/torch.h>

#include <refnorm/metrics/classification.h>

namespace refnorm::metrics {

std::int64_t count_correct(const torch::Tensor& scores, const torch::Tensor& labels) {
  return scores.argmax(1).eq(labels).sum().item<std::int64_t>();
}

}  // namespace refnorm::metrics
