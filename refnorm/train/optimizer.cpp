#include <set>
#include <sstream>
#include <type_traits>

#include <torch/nn/module.h>
#include <torch/optim/sgd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/norms/norm_layer.h>
#include <refnorm/train/optimizer.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::train {
namespace {

using torch::Tensor;

constexpr std::string_view kPrefix = "momentum/";

/// LibTorch 1.x keys its state by the tensor's address as a stream prints it, 2.x by the address.
template <class Map>
typename Map::key_type state_key(const Map&, const Tensor& parameter) {
  if constexpr (std::is_same_v<typename Map::key_type, std::string>) {
    std::ostringstream key;
    key << static_cast<const void*>(parameter.unsafeGetTensorImpl());
    return key.str();
  } else {
    return parameter.unsafeGetTensorImpl();
  }
}

}  // namespace

Optimizer::Optimizer(torch::nn::Module& model, const TrainSettings& settings) {
  std::set<const void*> of_norms;
  for (const auto& [name, layer] : find_layers<NormLayer>(model)) {
    for (const Tensor& parameter : layer->parameters()) of_norms.insert(parameter.unsafeGetTensorImpl());
  }
  std::vector<Tensor> plain;
  std::vector<Tensor> norm;
  for (const auto& item : model.named_parameters()) {
    if (!item.value().defined()) continue;
    parameters_.emplace_back(item.key(), item.value());
    (of_norms.contains(item.value().unsafeGetTensorImpl()) ? norm : plain).push_back(item.value());
  }
  const auto options = [&](double decay) {
    return std::make_unique<torch::optim::SGDOptions>(torch::optim::SGDOptions(settings.lr)
                                                          .momentum(settings.momentum)
                                                          .nesterov(settings.nesterov)
                                                          .weight_decay(decay));
  };
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(plain, options(settings.weight_decay));
  if (!norm.empty()) groups.emplace_back(norm, options(settings.norm_weight_decay));
  sgd_ = std::make_unique<torch::optim::SGD>(groups, torch::optim::SGDOptions(settings.lr));
}

void Optimizer::set_lr(double lr) {
  for (auto& group : sgd_->param_groups()) static_cast<torch::optim::SGDOptions&>(group.options()).lr(lr);
}

void Optimizer::zero_grad() {
  // Not zeros but nothing: no memory through a forward pass, and no addition to it.
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
}

void Optimizer::step() {
  sgd_->step();
}

void Optimizer::save(Safetensors& state) const {
  const auto& held = sgd_->state();
  for (const auto& [name, parameter] : parameters_) {
    const auto found = held.find(state_key(held, parameter));
    if (found == held.end()) continue;
    const Tensor& buffer = static_cast<const torch::optim::SGDParamState&>(*found->second).momentum_buffer();
    if (buffer.defined()) state.tensors.emplace_back(std::string(kPrefix) + name, to_raw(buffer));
  }
}

void Optimizer::load(const Safetensors& state, const std::string& origin) {
  auto& held = sgd_->state();
  for (const auto& [key, raw] : state.tensors) {
    if (!key.starts_with(kPrefix)) continue;
    const std::string name = key.substr(kPrefix.size());
    const auto found =
        std::find_if(parameters_.begin(), parameters_.end(), [&](const auto& p) { return p.first == name; });
    if (found == parameters_.end()) user_error("{}: '{}' belongs to no parameter", origin, printable(key));
    const Tensor buffer = to_tensor(raw);
    if (buffer.sizes() != found->second.sizes() || buffer.scalar_type() != found->second.scalar_type()) {
      user_error("{}: '{}' is of shape [{}], expected [{}]", origin, printable(key),
                 fmt::join(raw.shape, ", "), fmt::join(found->second.sizes(), ", "));
    }
    auto entry = std::make_unique<torch::optim::SGDParamState>();
    // As the parameter lies in memory.
    entry->momentum_buffer(torch::empty_like(found->second.detach()).copy_(buffer));
    held[state_key(held, found->second)] = std::move(entry);
  }
}

}  // namespace refnorm::train
