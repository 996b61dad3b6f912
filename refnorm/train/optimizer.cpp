#include <algorithm>
#include <set>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/norms/norm_layer.h>
#include <refnorm/ops/sgd.h>
#include <refnorm/train/optimizer.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::train {
namespace {

using torch::Tensor;

constexpr std::string_view kPrefix = "momentum/";

}  // namespace

Optimizer::Optimizer(torch::nn::Module& model, const TrainSettings& settings)
    : lr_(settings.lr), momentum_(settings.momentum), nesterov_(settings.nesterov) {
  std::set<const void*> of_norms;
  for (const auto& [name, layer] : find_layers<NormLayer>(model)) {
    for (const Tensor& parameter : layer->parameters()) of_norms.insert(parameter.unsafeGetTensorImpl());
  }
  for (const auto& item : model.named_parameters()) {
    if (!item.value().defined()) continue;
    const bool norm = of_norms.contains(item.value().unsafeGetTensorImpl());
    parameters_.push_back(
        {item.key(), item.value(), norm ? settings.norm_weight_decay : settings.weight_decay});
  }
}

void Optimizer::zero_grad() {
  // Not zeros but nothing: no memory through a forward pass, and no addition to it.
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad().reset();
}

void Optimizer::step() {
  for (Parameter& parameter : parameters_) {
    const Tensor& gradient = parameter.value.grad();
    if (gradient.defined())
      ops::sgd_step({lr_, momentum_, parameter.decay, nesterov_}, gradient, parameter.value,
                    parameter.momentum);
  }
}

void Optimizer::save(Safetensors& state) const {
  for (const Parameter& parameter : parameters_) {
    if (parameter.momentum.defined())
      state.tensors.emplace_back(std::string(kPrefix) + parameter.name, to_raw(parameter.momentum));
  }
}

void Optimizer::load(const Safetensors& state, const std::string& origin) {
  for (const auto& [key, raw] : state.tensors) {
    if (!key.starts_with(kPrefix)) continue;
    const std::string name = key.substr(kPrefix.size());
    const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                    [&](const Parameter& parameter) { return parameter.name == name; });
    if (found == parameters_.end()) user_error("{}: '{}' belongs to no parameter", origin, printable(key));
    const Tensor buffer = to_tensor(raw);
    if (buffer.sizes() != found->value.sizes() || buffer.scalar_type() != found->value.scalar_type()) {
      user_error("{}: '{}' is of shape [{}], expected [{}]", origin, printable(key),
                 fmt::join(raw.shape, ", "), fmt::join(found->value.sizes(), ", "));
    }
    found->momentum = torch::empty_like(found->value.detach(), torch::MemoryFormat::Preserve).copy_(buffer);
  }
}

}  // namespace refnorm::train
