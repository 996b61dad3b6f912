#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace refnorm::train {

/// The learning rate over time.
struct Schedule {
  std::string kind = "constant";  ///< constant | multistep | cosine
  double lr = 0.05;
  std::vector<std::int64_t> milestones;  ///< multistep: epochs after which the rate is multiplied by gamma
  double gamma = 0.1;
  double final_lr = 0;       ///< cosine: where it ends
  double warmup_epochs = 0;  ///< the rate rises linearly from 0 over this many epochs
  std::int64_t epochs = 1;
  std::int64_t steps_per_epoch = 1;

  /// The rate of step `step` (from 0).
  double at(std::int64_t step) const;
};

}  // namespace refnorm::train
