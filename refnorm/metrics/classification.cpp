#include <torch/torch.h>

#include <refnorm/metrics/classification.h>

namespace refnorm::metrics {

std::int64_t count_correct(const torch::Tensor& scores, const torch::Tensor& labels) {
  return scores.argmax(1).eq(labels).sum().item<std::int64_t>();
}

void ClassErrors::add(const torch::Tensor& scores, const torch::Tensor& labels) {
  const torch::Tensor on_host = labels.to(torch::kCPU);
  const torch::Tensor wrong = on_host.masked_select(scores.argmax(1).to(torch::kCPU).ne(on_host));
  const auto count = [&](const torch::Tensor& of, std::vector<std::int64_t>& into) {
    const torch::Tensor counts = torch::bincount(of, {}, scores.size(1));
    into.resize(static_cast<std::size_t>(scores.size(1)));
    for (std::size_t c = 0; c < into.size(); ++c) into[c] += counts.data_ptr<std::int64_t>()[c];
  };
  count(on_host, samples_);
  count(wrong, wrong_);
}

std::optional<ClassErrors::Worst> ClassErrors::worst() const {
  std::optional<Worst> worst;
  for (std::size_t c = 0; c < samples_.size(); ++c) {
    if (samples_[c] == 0) continue;
    const double error = 100.0 * static_cast<double>(wrong_[c]) / static_cast<double>(samples_[c]);
    if (!worst || error > worst->error_pct) worst = Worst{static_cast<std::int64_t>(c), error};
  }
  return worst;
}

}  // namespace refnorm::metrics
