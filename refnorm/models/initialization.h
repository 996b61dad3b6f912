#pragma once

#include <cstdint>
#include <string>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace refnorm::models {

// Norm layers keep weight 1 and bias 0. Every parameter is drawn from a stream named after it.

/// The weight and bias of each convolution and dense layer from U(−1/sqrt(f), 1/sqrt(f)), f the values that
/// one output sees: PyTorch's default.
void draw_uniform(torch::nn::Module& model, std::uint64_t seed);

/// Weights of convolutions from N(0, 2/f), f as above, which keeps the variance of what passes through layers
/// with ReLU (He et al. 2015, eq. 10); those of dense layers from N(0, 0.01²), as VGG and ResNet are usually
/// trained. Biases 0.
void draw_he(torch::nn::Module& model, std::uint64_t seed);

/// One parameter, from N(0, deviation²).
void draw_normal(torch::Tensor parameter, double deviation, std::uint64_t seed, const std::string& name);

}  // namespace refnorm::models
