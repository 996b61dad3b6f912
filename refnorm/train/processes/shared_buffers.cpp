#include <set>

#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/norms/reference_layer.h>
#include <refnorm/train/processes/shared_buffers.h>

namespace refnorm::train {

using torch::Tensor;

std::vector<std::pair<std::string, Tensor>> SharedBuffers::own_references(torch::nn::Module& module) {
  std::vector<std::pair<std::string, Tensor>> own;
  for (const auto& [name, layer] : find_layers<ReferenceLayer>(module)) {
    if (!layer->has_reference() || layer->policy() == Reference::kMoving) continue;
    const std::string prefix = name.empty() ? name : name + ".";
    own.emplace_back(prefix + "ref_mean", layer->ref_mean);
    own.emplace_back(prefix + "ref_var", layer->ref_var);
  }
  return own;
}

SharedBuffers::SharedBuffers(std::shared_ptr<Group> group, torch::nn::Module& module, bool keep_references)
    : group_(std::move(group)) {
  if (group_->size() == 1) return;
  std::set<const void*> own;
  if (keep_references) {
    for (const auto& [name, tensor] : own_references(module)) own.insert(tensor.unsafeGetTensorImpl());
  }
  for (const Tensor& buffer : module.buffers()) {
    if (buffer.defined() && !own.contains(buffer.unsafeGetTensorImpl())) buffers_.push_back(buffer);
  }
}

void SharedBuffers::begin() {
  if (buffers_.empty()) return;
  const torch::NoGradGuard no_grad;
  std::vector<Tensor> parts;
  for (const Tensor& buffer : buffers_) parts.push_back(buffer.reshape({-1}).to(torch::kDouble));
  flat_ = torch::cat(parts);
  sum_ = group_->begin_sum(flat_);
}

void SharedBuffers::finish() {
  if (buffers_.empty()) return;
  sum_->wait();
  sum_.reset();
  const torch::NoGradGuard no_grad;
  const Tensor mean = flat_ / group_->size();
  std::int64_t at = 0;
  for (Tensor& buffer : buffers_) {
    const Tensor values = mean.narrow(0, at, buffer.numel()).view(buffer.sizes());
    buffer.copy_(buffer.is_floating_point() ? values : values.floor());
    at += buffer.numel();
  }
  flat_.reset();
}

}  // namespace refnorm::train
