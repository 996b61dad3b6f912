#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include <torch/types.h>

#include <refnorm/norms/norm_layer.h>

namespace refnorm {

/// A model as the functions below see it: its layers, and how a batch goes through it. Made from any module
/// holder (ReferenceBatchNorm2d, torch::nn::Sequential, your own TORCH_MODULE) or module with forward(Tensor)
/// -> Tensor.
class ModelView {
 public:
  ModelView(torch::nn::Module& module, std::function<torch::Tensor(const torch::Tensor&)> forward)
      : module_(&module), forward_(std::move(forward)) {}

  template <class Model>
  requires(!std::is_same_v<std::remove_cvref_t<Model>, ModelView>)
      ModelView(Model& model)  // NOLINT: a view of what the caller keeps
      : ModelView(from(model)) {}

  torch::nn::Module& module() const { return *module_; }
  torch::Tensor forward(const torch::Tensor& batch) const { return forward_(batch); }

 private:
  template <class Model>
  static ModelView from(Model& model) {
    if constexpr (requires { model->forward(torch::Tensor()); }) {
      auto* impl = &*model;
      return ModelView(*impl, [impl](const torch::Tensor& batch) { return impl->forward(batch); });
    } else {
      return ModelView(model, [&model](const torch::Tensor& batch) { return model.forward(batch); });
    }
  }

  torch::nn::Module* module_;
  std::function<torch::Tensor(const torch::Tensor&)> forward_;
};

/// Takes the reference statistics of every layer (eq. 11, 12) in one forward pass of `batch` with the current
/// weights, without gradient; each layer normalizes the batch by its own statistics. Running statistics,
/// buffers of other modules (such as torch's own batch norms), the mode and the random generator are left as
/// they were.
void capture_reference(const ModelView& model, const torch::Tensor& batch);

/// Keeps a model's reference as its policy says, in a training loop of your own:
///
///     refnorm::ReferenceKeeper reference(model, reference_batch);
///     for (auto& [x, label] : batches) {
///       auto loss = cross_entropy(reference.forward(x), label);   // instead of model->forward(x)
///
/// forward() captures when due (refreshed: before the first step and then every `refresh_every`; fixed: once;
/// live and moving: never) and, in live mode, lets the reference samples ride in front of the batch through
/// the current network and splits them off at the end. In eval() it is the model's own forward. A model
/// without such layers passes through unchanged.
class ReferenceKeeper {
 public:
  /// `batch` may be undefined for models that need none; UserError if one does.
  ReferenceKeeper(ModelView model, torch::Tensor batch);

  torch::Tensor forward(const torch::Tensor& x);

  /// The first half of forward(): captures when due and counts a step. In train() only.
  void prepare();

  /// The second half: the model's forward with nothing captured and no step counted; in live mode the
  /// reference rides along. For passes over training batches that are no training steps, such as Algorithm
  /// 3's.
  torch::Tensor forward_only(const torch::Tensor& x) const;

  /// Before an evaluation: takes the reference with the current weights where a layer evaluates by it
  /// (virtual batch norm).
  void prepare_evaluation();

  /// Takes the reference again now, where the policy is refreshed (or none was taken yet).
  void refresh();

  /// Steps counted so far; set it when training goes on from a checkpoint.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

 private:
  bool due() const;
  /// Whether every layer is frozen, so that no reference is needed now.
  bool all_idle() const;

  ModelView model_;
  torch::Tensor batch_;
  std::int64_t steps_ = 0;
  std::int64_t refresh_every_ = 0;  ///< the shortest of the layers; 0: nothing is refreshed
  bool captures_ = false;           ///< some layer takes its statistics from the batch, refreshed or fixed
  bool live_ = false;
};

}  // namespace refnorm
