#pragma once

#include <memory>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <refnorm/train/processes/group.h>

namespace refnorm::train {

/// Keeps the buffers of a network the same in all processes: after each step, running statistics (and
/// whatever else forward passes change) are the mean over the processes' own. Running averages are linear in
/// what they average, so that this mean is what they would be of all batches, whenever it is taken. Counters
/// are rounded down. With references of their own (`own_references`), processes keep those apart.
class SharedBuffers {
 public:
  SharedBuffers(std::shared_ptr<Group> group, torch::nn::Module& module, bool own_references);

  /// After a step's last forward pass: the sum goes on while backward runs.
  void begin();
  void finish();

  /// The buffers that processes keep apart, by name.
  static std::vector<std::pair<std::string, torch::Tensor>> own_references(torch::nn::Module& module);

 private:
  std::shared_ptr<Group> group_;
  std::vector<torch::Tensor> buffers_;
  torch::Tensor flat_;
  std::unique_ptr<Group::Pending> sum_;
};

}  // namespace refnorm::train
