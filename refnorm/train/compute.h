#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace refnorm::train {

/// Where and how a network computes.
struct Compute {
  torch::Device device = torch::kCPU;
  bool bfloat16 = false;       ///< operators that profit, in bfloat16; weights and statistics stay float32
  bool channels_last = false;  ///< pictures and the weights of convolutions in memory as [N, H, W, C]
  std::int64_t workers = 0;    ///< threads that make batches ahead (data::Loader)

  /// A batch of pictures [N, C, H, W], on the device and in the memory format.
  torch::Tensor place(const torch::Tensor& images) const;
  /// The same of a network.
  void place(torch::nn::Module& network) const;
};

}  // namespace refnorm::train
