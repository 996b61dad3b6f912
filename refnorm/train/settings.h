#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace refnorm::train {

/// The [train] section of a recipe.
struct TrainSettings {
  std::int64_t epochs = 10;
  std::int64_t batch_size = 128;
  std::string optimizer = "sgd";
  double lr = 0.05;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 5e-4;
  double norm_weight_decay = 0;  ///< of the norms' weight and bias
  std::string schedule = "constant";
  std::vector<std::int64_t> milestones;
  double gamma = 0.1;
  double final_lr = 0;
  double warmup_epochs = 0;
  std::int64_t accumulate = 1;   ///< batches whose gradients make one step; each is normalized by itself
  bool sync_statistics = false;  ///< batches of all processes are normalized by their joint statistics
  double label_smoothing = 0;
  double clip_norm = 0;  ///< of all gradients together; 0: not clipped
  double ema = 0;        ///< decay of the moving average of the weights; 0: none is kept
  std::string precision = "fp32";
  std::string memory_format = "auto";
  std::int64_t checkpoint_every = 200;
  std::int64_t log_every = 50;
  double give_up =
      0;  ///< after this share of the steps, a run that does no better than guessing stops; 0: never
  std::int64_t validate_every = 0;  ///< steps between validations; 0: at an epoch's end only
  double target = 0;                ///< percent validation error whose first step is noted; 0: none
};

}  // namespace refnorm::train
