#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/train/foreign_weights.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::train {
namespace {

using torch::Tensor;

/// What training takes anew: counters, and the statistics of a reference batch.
bool may_be_missing(const std::string& name, const RawTensor& own) {
  return (own.dtype == "I64" && own.shape.empty()) || name.ends_with(".ref_mean") ||
         name.ends_with(".ref_var");
}

/// Of a list in a message.
constexpr std::size_t kNamed = 8;

std::string listed(const std::vector<std::string>& names) {
  std::vector<std::string> first;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) first.push_back(printable(names[i]));
  const std::string more = names.size() > kNamed ? fmt::format(" and {} more", names.size() - kNamed) : "";
  return fmt::format("{}{}", fmt::join(first, ", "), more);
}

}  // namespace

std::string WeightsMatch::to_string() const {
  std::vector<std::string> parts{fmt::format("{} tensor{} fit{}", fitting.size(),
                                             fitting.size() == 1 ? "" : "s", fitting.size() == 1 ? "s" : "")};
  if (!missing.empty()) parts.push_back(fmt::format("missing: {}", listed(missing)));
  if (!misshapen.empty()) {
    std::vector<std::string> shapes;
    for (const Shape& shape : misshapen) {
      shapes.push_back(fmt::format("{} [{}], expected [{}]", shape.name, fmt::join(shape.found, ", "),
                                   fmt::join(shape.expected, ", ")));
    }
    parts.push_back(fmt::format("wrongly shaped: {}", listed(shapes)));
  }
  if (!unexpected.empty()) parts.push_back(fmt::format("unexpected: {}", listed(unexpected)));
  return fmt::format("{}", fmt::join(parts, "; "));
}

WeightsMatch match_weights(const torch::nn::Module& model, const Safetensors& weights) {
  WeightsMatch match;
  const Safetensors state = state_of(model);
  for (const auto& [name, own] : state.tensors) {
    const RawTensor* found = weights.find(name);
    if (found == nullptr && may_be_missing(name, own)) continue;
    if (found == nullptr) {
      match.missing.push_back(name);
    } else if (found->shape != own.shape) {
      match.misshapen.push_back({name, found->shape, own.shape});
    } else {
      match.fitting.push_back(name);
    }
  }
  for (const auto& [name, raw] : weights.tensors) {
    if (state.find(name) == nullptr) match.unexpected.push_back(name);
  }
  return match;
}

WeightsMatch load_weights(torch::nn::Module& model, const Safetensors& weights, const std::string& origin,
                          bool partial) {
  WeightsMatch match = match_weights(model, weights);
  if (match.fitting.empty() || (!match.complete() && !partial))
    user_error("{}: does not fit this network: {}", origin, match.to_string());
  const torch::NoGradGuard no_grad;
  auto parameters = model.named_parameters();
  auto buffers = model.named_buffers();
  for (const std::string& name : match.fitting) {
    Tensor* const parameter = parameters.find(name);
    Tensor& own = parameter != nullptr ? *parameter : buffers[name];
    own.copy_(to_tensor(*weights.find(name)));
  }
  return match;
}

}  // namespace refnorm::train
