#pragma once

#include <string>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <refnorm/base/safetensors.h>

namespace refnorm::train {

/// A contiguous copy on the CPU. Throws Error for a dtype that safetensors cannot hold.
RawTensor to_raw(const torch::Tensor& tensor);

torch::Tensor to_tensor(const RawTensor& raw);

/// Parameters and buffers of a model by name, without undefined ones.
Safetensors state_of(const torch::nn::Module& model);

/// Copies a state into a model. Every name must be there, none more, each of the right shape and dtype:
/// UserError naming `origin` and the tensor, and nothing is changed.
void load_state(torch::nn::Module& model, const Safetensors& state, const std::string& origin);

}  // namespace refnorm::train
