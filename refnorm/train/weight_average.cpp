#include <algorithm>
#include <string>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/train/weight_average.h>

namespace refnorm::train {

using torch::Tensor;

WeightAverage::WeightAverage(torch::nn::Module& network, double decay) : decay_(decay) {
  const torch::NoGradGuard no_grad;
  for (const auto& tensors : {network.named_parameters(), network.named_buffers()}) {
    for (const auto& item : tensors) {
      if (!item.value().defined()) continue;
      values_.emplace_back(item.key(), item.value());
      averages_.push_back(item.value().detach().clone());
    }
  }
}

void WeightAverage::update(std::int64_t step) {
  const torch::NoGradGuard no_grad;
  const auto t = static_cast<double>(step);
  const double rate = 1 - std::min(decay_, (1 + t) / (10 + t));
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const Tensor value = values_[i].second.detach();
    if (value.is_floating_point())
      averages_[i].lerp_(value, rate);
    else
      averages_[i].copy_(value);
  }
}

void WeightAverage::swap() {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const Tensor value = values_[i].second.detach();
    values_[i].second.set_data(averages_[i]);
    averages_[i] = value;
  }
}

Safetensors WeightAverage::save() const {
  Safetensors state;
  for (std::size_t i = 0; i < values_.size(); ++i)
    state.tensors.emplace_back(kPrefix + values_[i].first, to_raw(averages_[i]));
  return state;
}

void WeightAverage::load(const Safetensors& state, const std::string& origin) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const std::string name = kPrefix + values_[i].first;
    const RawTensor* raw = state.find(name);
    if (raw == nullptr) user_error("{}: tensor '{}' is missing", origin, name);
    if (c10::IntArrayRef(raw->shape) != averages_[i].sizes())
      user_error("{}: '{}' is of shape [{}], expected [{}]", origin, name, fmt::join(raw->shape, ", "),
                 fmt::join(averages_[i].sizes(), ", "));
    averages_[i].copy_(to_tensor(*raw));
  }
}

}  // namespace refnorm::train
