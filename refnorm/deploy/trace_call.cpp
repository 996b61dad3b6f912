#include <cmath>

#include <torch/csrc/jit/ir/constants.h>
#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/deploy/trace_call.h>

namespace refnorm::deploy {

using torch::Tensor;

Weights to_weights(const Tensor& tensor) {
  const Tensor dense = tensor.detach().to(torch::kCPU, torch::kFloat).contiguous();
  const float* values = dense.data_ptr<float>();
  return {dense.sizes().vec(), {values, values + dense.numel()}};
}

std::vector<double> to_doubles(const Tensor& tensor) {
  const Tensor dense = tensor.detach().to(torch::kCPU, torch::kDouble).contiguous();
  const double* values = dense.data_ptr<double>();
  return {values, values + dense.numel()};
}

std::string GraphBuilder::Call::value(std::size_t i) const {
  const auto found = values_.find(node_.input(i));
  if (found == values_.end())
    user_error("'{}' of values that do not depend on the input cannot be exported", operator_name());
  return found->second;
}

bool GraphBuilder::Call::has(std::size_t i) const {
  const auto constant = torch::jit::toIValue(node_.input(i));
  if (!constant) return true;
  return !constant->isNone() && !(constant->isTensor() && !constant->toTensor().defined());
}

c10::IValue GraphBuilder::Call::constant(std::size_t i) const {
  const auto value = torch::jit::toIValue(node_.input(i));
  if (!value)
    user_error("'{}': its argument {} depends on the input, which cannot be exported", operator_name(),
               i + 1);
  return *value;
}

Tensor GraphBuilder::Call::tensor(std::size_t i) const {
  return constant(i).toTensor();
}

double GraphBuilder::Call::real(std::size_t i) const {
  const c10::IValue value = constant(i);
  return value.isTensor() ? value.toTensor().item<double>() : value.toScalar().to<double>();
}

std::vector<std::int64_t> GraphBuilder::Call::numbers(std::size_t i, std::size_t axes) const {
  std::vector<std::int64_t> list;
  const torch::jit::Node* made = node_.input(i)->node();
  if (std::string(made->kind().toQualString()) == "prim::ListConstruct") {
    for (const torch::jit::Value* item : made->inputs()) {
      const auto number = torch::jit::toIValue(item);
      if (!number)
        user_error("'{}': its argument {} depends on the input, which cannot be exported", operator_name(),
                   i + 1);
      list.push_back(number->toInt());
    }
  } else {
    list = constant(i).toIntVector();
  }
  if (axes > 0 && list.size() == 1) list.assign(axes, list[0]);
  return list;
}

std::vector<std::int64_t> GraphBuilder::Call::shape_of(const torch::jit::Value& value) const {
  const auto type = value.type()->cast<c10::TensorType>();
  const auto sizes = type != nullptr ? type->sizes().concrete_sizes() : c10::nullopt;
  if (!sizes || sizes->empty()) user_error("'{}': a shape is not known", operator_name());
  return {sizes->begin() + 1, sizes->end()};
}

void NormalizeCall::check(const std::string& layer) const {
  bool by_batch = reference_rows_ > 0 || renormalizes_;
  for (std::size_t i = 0; i + 1 < sets_.size(); i += 2) by_batch = by_batch || sets_[i] != 1;
  if (by_batch)
    user_error(
        "layer '{}' normalizes by the statistics of the batch, which an exported file has not; "
        "expected running or population statistics",
        layer);
}

std::pair<std::vector<double>, std::vector<double>> NormalizeCall::affine_map() const {
  const std::vector<double> mean = to_doubles(stored_mean);
  const std::vector<double> var = to_doubles(stored_var_);
  const std::vector<double> gamma =
      weight.defined() ? to_doubles(weight) : std::vector<double>(mean.size(), 1);
  const std::vector<double> beta = bias.defined() ? to_doubles(bias) : std::vector<double>(mean.size(), 0);
  std::vector<double> scale(mean.size());
  std::vector<double> shift(mean.size());
  for (std::size_t c = 0; c < mean.size(); ++c) {
    scale[c] = gamma[c] / std::sqrt(var_weights_[0] * var[c] + eps_);
    shift[c] = beta[c] - scale[c] * mean_weights_[0] * mean[c];
  }
  return {scale, shift};
}

SampleBlend NormalizeCall::blend() const {
  SampleBlend blend;
  for (std::size_t i = 0; i + 1 < sets_.size(); i += 2) blend.channels.push_back(sets_[i + 1]);
  if (stored_mean.defined()) {
    blend.stored_mean = to_weights(stored_mean);
    blend.stored_var = to_weights(stored_var_);
  }
  blend.mean_weights = mean_weights_;
  blend.var_weights = var_weights_;
  blend.mixture = mixture_;
  blend.eps = eps_;
  return blend;
}

}  // namespace refnorm::deploy
