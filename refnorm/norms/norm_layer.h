#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <refnorm/ops/normalize.h>

namespace refnorm {

class NormSlot;

/// A normalization layer; what models hold in its place (see NormSlot), without naming a concrete one.
class NormLayer : public torch::nn::Module {
 public:
  /// x[N, C, *] -> the same shape and dtype.
  torch::Tensor forward(const torch::Tensor& x) { return normalize(x, {}); }

  /// The same, and what follows it in one sweep: + residual, ReLU.
  virtual torch::Tensor normalize(const torch::Tensor& x, const ops::Then& then) = 0;

  /// Whether the layer's parameters receive gradients. Default: true.
  void learn_affine(bool on);

  /// As made anew: weight 1, bias 0, nothing gathered.
  virtual void reset_parameters() {}

  /// As every module's, but counters stay int64 (torch::nn::Module turns every buffer into the new dtype).
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  using torch::nn::Module::to;

 private:
  friend class NormSlot;
  struct Place;
  std::weak_ptr<Place> place_;
};

/// Makes the normalization of `channels` channels for inputs of `dims` spatial axes (0 for dense layers).
using NormFactory = std::function<std::shared_ptr<NormLayer>(std::int64_t channels, int dims)>;

/// The place for a normalization in a model, as a member beside its convolutions:
///
///     void reset() override { norm1.fill(*this, "norm1", factory, 64, 2); }
///
/// The layer is the parent's submodule of that name (its state is "norm1.weight" and so on), and convert()
/// can put another one in its place. Where a clone of the model is reset, it gets layers of the kinds that
/// stand there.
class NormSlot {
 public:
  void fill(torch::nn::Module& parent, const std::string& name, const NormFactory& factory,
            std::int64_t channels, int dims);

  NormLayer& layer() const;
  NormLayer* operator->() const { return &layer(); }

  /// Whether a slot holds this layer, and what was asked of the factory for it.
  static bool holds(const NormLayer& layer);
  static std::int64_t channels_of(const NormLayer& layer);
  static int dims_of(const NormLayer& layer);
  /// Puts `next` where `layer` is, as the parent's child of that name. Only where holds(layer).
  static void replace(torch::nn::Module& parent, const std::string& name, NormLayer& layer,
                      const std::shared_ptr<NormLayer>& next);

 private:
  std::shared_ptr<NormLayer::Place> place_;
};

/// act(norm(x) [+ residual]) in one sweep; act is ReLU, or nothing. The call that models use.
torch::Tensor norm_act(NormLayer& norm, const torch::Tensor& x, const torch::Tensor& residual = {},
                       bool relu = true);
torch::Tensor norm_act(const NormSlot& norm, const torch::Tensor& x, const torch::Tensor& residual = {},
                       bool relu = true);

/// All layers of that type in a model, by name ("layer1.0.bn1"; "" for the model itself), in order of
/// registration.
template <class Layer>
std::vector<std::pair<std::string, std::shared_ptr<Layer>>> find_layers(torch::nn::Module& model) {
  std::vector<std::pair<std::string, std::shared_ptr<Layer>>> found;
  if (auto* self = dynamic_cast<Layer*>(&model))
    found.emplace_back("", std::shared_ptr<Layer>(std::shared_ptr<void>(), self));
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (auto layer = std::dynamic_pointer_cast<Layer>(item.value())) found.emplace_back(item.key(), layer);
  }
  return found;
}

}  // namespace refnorm
