#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace refnorm::metrics {

/// Sums over samples, from which mean loss and top-1 accuracy follow.
struct Tally {
  std::int64_t samples = 0;
  std::int64_t correct = 0;
  double loss_sum = 0;
  std::map<std::string, double> part_sums;  ///< of the loss's parts, where it has several

  void add(std::int64_t count, std::int64_t right, double mean_loss) {
    samples += count;
    correct += right;
    loss_sum += mean_loss * static_cast<double>(count);
  }
  void add(const Tally& other) {
    samples += other.samples;
    correct += other.correct;
    loss_sum += other.loss_sum;
    for (const auto& [part, sum] : other.part_sums) part_sums[part] += sum;
  }
  double mean_loss() const { return samples > 0 ? loss_sum / static_cast<double>(samples) : 0; }
  double mean_part(const std::string& part) const {
    const auto found = part_sums.find(part);
    return samples > 0 && found != part_sums.end() ? found->second / static_cast<double>(samples) : 0;
  }
  double accuracy_pct() const {
    return samples > 0 ? 100.0 * static_cast<double>(correct) / static_cast<double>(samples) : 0;
  }
  double error_pct() const {
    return samples > 0 ? 100.0 * static_cast<double>(samples - correct) / static_cast<double>(samples) : 0;
  }
};

}  // namespace refnorm::metrics
