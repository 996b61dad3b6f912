#include <torch/nn/module.h>

#include <refnorm/train/compute.h>

namespace refnorm::train {

torch::Tensor Compute::place(const torch::Tensor& images) const {
  const auto format = channels_last ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
  return images.to(device).contiguous(format);
}

void Compute::place(torch::nn::Module& network) const {
  network.to(device);
  if (!channels_last) return;
  for (torch::Tensor& parameter : network.parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
  }
}

}  // namespace refnorm::train
