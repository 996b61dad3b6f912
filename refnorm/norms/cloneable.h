#pragma once

#include <memory>

#include <torch/nn/cloneable.h>
#include <torch/utils.h>

namespace refnorm {
struct ModuleState;
}

namespace torch::nn {

/// What Module lets its friends do, which Cloneable<anything> are, and nobody else.
template <>
class Cloneable<refnorm::ModuleState> {
 public:
  /// Without parameters, buffers and children, for reset() to register them.
  static void clear(Module& module);
  /// Values of `from`'s parameters, buffers and children, which `to` has under the same names. Throws
  /// c10::Error where it has others.
  static void copy(const Module& from, Module& to, const c10::optional<Device>& device);
};

}  // namespace torch::nn

namespace refnorm {

/// torch::nn::Cloneable<Derived> with a base class of its own. LibTorch's derives from Module itself,
/// virtually in some releases and not in others: beside a base that is a module, too, it gives a class with
/// two of them.
template <class Derived, class Base>
class Cloneable : public Base {
 public:
  using Base::Base;

  /// As torch::nn::Cloneable's: registers parameters, buffers and children.
  virtual void reset() = 0;

  std::shared_ptr<torch::nn::Module> clone(
      const c10::optional<torch::Device>& device = c10::nullopt) const override {
    using State = torch::nn::Cloneable<ModuleState>;
    const torch::NoGradGuard no_grad;
    auto copy = std::make_shared<Derived>(static_cast<const Derived&>(*this));
    State::clear(*copy);
    copy->reset();
    State::copy(*this, *copy, device);
    return copy;
  }

 private:
  void clone_(torch::nn::Module& other, const c10::optional<torch::Device>& device) final {
    const auto clone = std::dynamic_pointer_cast<Derived>(other.clone(device));
    TORCH_CHECK(clone != nullptr, "clone: a child of another type than the one it is copied from");
    static_cast<Derived&>(*this) = *clone;
  }
};

}  // namespace refnorm
