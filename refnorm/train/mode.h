#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

#include <refnorm/norms/batch_statistics.h>
#include <refnorm/norms/capture.h>

namespace refnorm::train {

/// Sets mode and statistics of a network, but for norms that are frozen, and puts them back.
class Mode {
 public:
  Mode(torch::nn::Module& module, bool training, Statistics statistics)
      : module_(module), training_before_(module.is_training()) {
    for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(module)) {
      if (layer->kept_frozen()) continue;
      before_.emplace_back(layer, layer->statistics());
      layer->use_statistics(statistics);
    }
    module_.train(training);
  }
  ~Mode() {
    module_.train(training_before_);
    for (const auto& [layer, statistics] : before_) layer->use_statistics(statistics);
  }
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;

 private:
  torch::nn::Module& module_;
  bool training_before_;
  std::vector<std::pair<std::shared_ptr<BatchStatisticsLayer>, Statistics>> before_;
};

}  // namespace refnorm::train
