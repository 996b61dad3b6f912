#include <refnorm/norms/cloneable.h>

namespace torch::nn {
namespace {

template <class Values>
void copy_values(const Values& from, const Values& to, const c10::optional<Device>& device,
                 const char* what) {
  TORCH_CHECK(from.size() == to.size(), "clone: ", from.size(), " ", what, " became ", to.size(),
              " in reset(), which must register all of them");
  for (const auto& item : from) {
    const Tensor& value = *item;
    if (value.defined())
      to[item.key()].set_data(device && value.device() != *device ? value.to(*device) : value.clone());
  }
}

}  // namespace

void Cloneable<refnorm::ModuleState>::clear(Module& module) {
  module.parameters_.clear();
  module.buffers_.clear();
  module.children_.clear();
}

void Cloneable<refnorm::ModuleState>::copy(const Module& from, Module& to,
                                           const c10::optional<Device>& device) {
  copy_values(from.parameters_, to.parameters_, device, "parameters");
  copy_values(from.buffers_, to.buffers_, device, "buffers");
  TORCH_CHECK(from.children_.size() == to.children_.size(), "clone: ", from.children_.size(),
              " children became ", to.children_.size(), " in reset(), which must register all of them");
  for (const auto& child : from.children_) to.children_[child.key()]->clone_(*child.value(), device);
}

}  // namespace torch::nn
