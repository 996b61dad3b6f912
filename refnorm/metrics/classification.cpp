#include <torch/types.h>

#include <refnorm/metrics/classification.h>

namespace refnorm::metrics {

std::int64_t count_correct(const torch::Tensor& scores, const torch::Tensor& labels) {
  return scores.argmax(1).eq(labels).sum().item<std::int64_t>();
}

void ErrorsByPart::add(const torch::Tensor& scores, const torch::Tensor& labels, const torch::Tensor& parts) {
  const torch::Tensor wrong = parts.masked_select(scores.argmax(1).ne(labels).to(torch::kCPU));
  const auto count = [](const torch::Tensor& of, std::vector<std::int64_t>& into) {
    const torch::Tensor counts = torch::bincount(of, {}, static_cast<std::int64_t>(into.size()));
    into.resize(static_cast<std::size_t>(counts.numel()));
    for (std::size_t part = 0; part < into.size(); ++part)
      into[part] += counts.data_ptr<std::int64_t>()[part];
  };
  count(parts, samples_);
  wrong_.resize(samples_.size());
  count(wrong, wrong_);
}

std::optional<double> ErrorsByPart::error_pct(std::size_t part) const {
  if (part >= samples_.size() || samples_[part] == 0) return std::nullopt;
  return 100.0 * static_cast<double>(wrong_[part]) / static_cast<double>(samples_[part]);
}

std::optional<ErrorsByPart::Worst> ErrorsByPart::worst() const {
  std::optional<Worst> worst;
  for (std::size_t part = 0; part < samples_.size(); ++part) {
    const std::optional<double> error = error_pct(part);
    if (error && (!worst || *error > worst->error_pct))
      worst = Worst{static_cast<std::int64_t>(part), *error};
  }
  return worst;
}

}  // namespace refnorm::metrics
