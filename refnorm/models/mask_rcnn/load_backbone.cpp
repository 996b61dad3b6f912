#include <cstring>
#include <set>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/models/mask_rcnn/mask_rcnn.h>

namespace refnorm::models {
namespace {

using torch::Tensor;

std::optional<torch::ScalarType> type_of(const std::string& dtype) {
  if (dtype == "F32") return torch::kFloat;
  if (dtype == "F64") return torch::kDouble;
  if (dtype == "F16") return torch::kHalf;
  if (dtype == "BF16") return torch::kBFloat16;
  if (dtype == "I64") return torch::kLong;
  return std::nullopt;
}

/// Where a ResNet's layer stands here; empty: nowhere.
std::string place_of(const std::string& name) {
  if (name.starts_with("layer4.")) return "head." + name;
  if (name.starts_with("conv1.") || name.starts_with("bn1.") || name.starts_with("layer"))
    return "backbone." + name;
  return {};
}

/// What training takes anew: counters, and the statistics of a reference batch.
bool may_be_missing(const std::string& name, const Tensor& own) {
  return own.scalar_type() == torch::kLong || name.ends_with(".ref_mean") || name.ends_with(".ref_var");
}

/// All of the model that a ResNet's weights fill.
std::map<std::string, Tensor> state_of(const MaskRcnnImpl& model) {
  std::map<std::string, Tensor> state;
  const auto add = [&](const auto& items) {
    for (const auto& item : items) {
      if (item.key().starts_with("backbone.") || item.key().starts_with("head.layer4."))
        state[item.key()] = item.value();
    }
  };
  add(model.named_parameters());
  add(model.named_buffers());
  return state;
}

}  // namespace

BackboneWeights load_backbone(MaskRcnnImpl& model, const Safetensors& weights, const std::string& origin) {
  std::map<std::string, Tensor> state = state_of(model);
  std::vector<std::pair<Tensor, const RawTensor*>> copies;
  BackboneWeights result;
  for (const auto& [name, raw] : weights.tensors) {
    const auto own = state.find(place_of(name));
    if (own == state.end()) {
      result.ignored.push_back(name);
      continue;
    }
    if (!type_of(raw.dtype) || raw.shape != own->second.sizes().vec()) {
      user_error("{}: {} is {} [{}], expected [{}]", origin, printable(name), printable(raw.dtype),
                 fmt::join(raw.shape, ", "), fmt::join(own->second.sizes(), ", "));
    }
    copies.emplace_back(own->second, &raw);
    result.loaded.push_back(own->first);
  }
  const std::set<std::string> loaded(result.loaded.begin(), result.loaded.end());
  for (const auto& [name, own] : state) {
    if (!loaded.contains(name) && !may_be_missing(name, own))
      user_error("{}: nothing in it for {}, expected the weights of a resnet{} with such norms", origin, name,
                 model.options.depth);
  }
  const torch::NoGradGuard no_grad;
  for (auto& [own, raw] : copies) {
    const Tensor given = torch::empty(raw->shape, *type_of(raw->dtype));
    std::memcpy(given.data_ptr(), raw->bytes.data(), raw->bytes.size());
    own.copy_(given);
  }
  return result;
}

}  // namespace refnorm::models
