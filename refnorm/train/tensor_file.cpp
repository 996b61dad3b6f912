#include <cstring>
#include <utility>
#include <vector>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/train/tensor_file.h>

namespace refnorm::train {
namespace {

using torch::Tensor;

constexpr std::pair<torch::ScalarType, const char*> kNames[] = {
    {torch::kDouble, "F64"}, {torch::kFloat, "F32"}, {torch::kHalf, "F16"},  {torch::kBFloat16, "BF16"},
    {torch::kLong, "I64"},   {torch::kInt, "I32"},   {torch::kShort, "I16"}, {torch::kChar, "I8"},
    {torch::kByte, "U8"},    {torch::kBool, "BOOL"}};

std::vector<std::pair<std::string, Tensor>> named_state(const torch::nn::Module& model) {
  std::vector<std::pair<std::string, Tensor>> state;
  for (const auto& item : model.named_parameters()) {
    if (item.value().defined()) state.emplace_back(item.key(), item.value());
  }
  for (const auto& item : model.named_buffers()) {
    if (item.value().defined()) state.emplace_back(item.key(), item.value());
  }
  return state;
}

}  // namespace

RawTensor to_raw(const Tensor& tensor) {
  const Tensor dense = tensor.detach().to(torch::kCPU).contiguous();
  for (const auto& [type, name] : kNames) {
    if (type != dense.scalar_type()) continue;
    return {name, dense.sizes().vec(),
            std::string(static_cast<const char*>(dense.data_ptr()), dense.nbytes())};
  }
  fail("a tensor of {} cannot be stored", c10::toString(dense.scalar_type()));
}

Tensor to_tensor(const RawTensor& raw) {
  for (const auto& [type, name] : kNames) {
    if (raw.dtype != name) continue;
    Tensor tensor = torch::empty(raw.shape, type);
    // An empty tensor has no address to copy to.
    if (!raw.bytes.empty()) std::memcpy(tensor.data_ptr(), raw.bytes.data(), raw.bytes.size());
    return tensor;
  }
  fail("dtype {} is not known", raw.dtype);
}

Safetensors state_of(const torch::nn::Module& model) {
  Safetensors state;
  for (const auto& [name, tensor] : named_state(model)) state.tensors.emplace_back(name, to_raw(tensor));
  return state;
}

void load_state(torch::nn::Module& model, const Safetensors& state, const std::string& origin) {
  const auto wanted = named_state(model);
  std::vector<std::string> names;
  std::vector<Tensor> loaded;
  for (const auto& [name, tensor] : wanted) {
    names.push_back(name);
    const RawTensor* raw = state.find(name);
    if (raw == nullptr) user_error("{}: tensor '{}' is missing", origin, name);
    const Tensor value = to_tensor(*raw);
    if (value.sizes() != tensor.sizes() || value.scalar_type() != tensor.scalar_type()) {
      user_error("{}: tensor '{}' is {} of shape [{}], expected {} of shape [{}]", origin, name, raw->dtype,
                 fmt::join(raw->shape, ", "), to_raw(tensor).dtype, fmt::join(tensor.sizes(), ", "));
    }
    loaded.push_back(value);
  }
  for (const auto& [name, raw] : state.tensors) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      user_error("{}: tensor '{}' is not in this network{}", origin, printable(name),
                 suggestion(name, names));
    }
  }
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < wanted.size(); ++i) Tensor(wanted[i].second).copy_(loaded[i]);
}

}  // namespace refnorm::train
