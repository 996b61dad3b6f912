#include <cmath>
#include <functional>
#include <string>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <refnorm/base/random.h>
#include <refnorm/models/initialization.h>

namespace refnorm::models {
namespace {

using torch::Tensor;

/// A convolution or a dense layer.
struct Layer {
  std::string name;
  Tensor weight, bias;

  /// Values that one output sees.
  double fan_in() const { return static_cast<double>(weight.numel() / weight.size(0)); }
};

void for_each_layer(torch::nn::Module& model, const std::function<void(const Layer&)>& visit) {
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (const auto* conv = item.value()->as<torch::nn::Conv2d>())
      visit({item.key(), conv->weight, conv->bias});
    else if (const auto* dense = item.value()->as<torch::nn::Linear>())
      visit({item.key(), dense->weight, dense->bias});
  }
}

at::Generator stream(std::uint64_t seed, const std::string& parameter) {
  return at::detail::createCPUGenerator(stream_seed(seed, "initialization/" + parameter));
}

void uniform(const Tensor& parameter, double bound, std::uint64_t seed, const std::string& name) {
  if (parameter.defined())
    parameter.copy_(torch::empty(parameter.sizes()).uniform_(-bound, bound, stream(seed, name)));
}

}  // namespace

void draw_uniform(torch::nn::Module& model, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for_each_layer(model, [&](const Layer& layer) {
    const double bound = 1.0 / std::sqrt(layer.fan_in());
    uniform(layer.weight, bound, seed, layer.name + ".weight");
    uniform(layer.bias, bound, seed, layer.name + ".bias");
  });
}

void draw_he(torch::nn::Module& model, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  for_each_layer(model, [&](const Layer& layer) {
    const double deviation = layer.weight.dim() == 4 ? std::sqrt(2.0 / layer.fan_in()) : 0.01;
    draw_normal(layer.weight, deviation, seed, layer.name + ".weight");
    if (layer.bias.defined()) layer.bias.zero_();
  });
}

void draw_normal(Tensor parameter, double deviation, std::uint64_t seed, const std::string& name) {
  const torch::NoGradGuard no_grad;
  parameter.copy_(torch::empty(parameter.sizes()).normal_(0, deviation, stream(seed, name)));
}

}  // namespace refnorm::models
