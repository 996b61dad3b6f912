#include <algorithm>
#include <mutex>
#include <set>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/cuda.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/reference_layer.h>

namespace refnorm {
namespace {

using torch::Tensor;

std::vector<std::shared_ptr<ReferenceLayer>> layers_of(const ModelView& model) {
  std::vector<std::shared_ptr<ReferenceLayer>> layers;
  for (auto& [name, layer] : find_layers<ReferenceLayer>(model.module())) layers.push_back(layer);
  return layers;
}

/// Puts back, when it goes, what a forward pass in training mode may change besides our own layers.
class Undisturbed {
 public:
  explicit Undisturbed(torch::nn::Module& model) {
    generators_.push_back(at::detail::getDefaultCPUGenerator());
    for (int device = 0; device < static_cast<int>(torch::cuda::device_count()); ++device) {
      generators_.push_back(
          at::globalContext().defaultGenerator(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device))));
    }
    for (const at::Generator& generator : generators_) states_.push_back(generator.get_state());
    if (dynamic_cast<ReferenceLayer*>(&model) == nullptr) keep_buffers(model);
    // Without the model itself, which then need not be owned by a shared_ptr.
    for (const auto& module : model.modules(/*include_self=*/false)) {
      if (!std::dynamic_pointer_cast<ReferenceLayer>(module)) keep_buffers(*module);
    }
  }
  ~Undisturbed() {
    torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < generators_.size(); ++i) {
      const std::lock_guard<std::mutex> lock(generators_[i].mutex());
      generators_[i].set_state(states_[i]);
    }
    for (auto& [buffer, before] : buffers_) buffer.copy_(before);
  }
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;

 private:
  void keep_buffers(const torch::nn::Module& module) {
    for (const Tensor& buffer : module.buffers(/*recurse=*/false))
      buffers_.emplace_back(buffer, buffer.clone());
  }

  std::vector<at::Generator> generators_;
  std::vector<Tensor> states_;
  std::vector<std::pair<Tensor, Tensor>> buffers_;
};

/// Sets something on every layer and undoes it when it goes.
template <class Set, class Undo>
class OnLayers {
 public:
  OnLayers(std::vector<std::shared_ptr<ReferenceLayer>> layers, Set set, Undo undo)
      : layers_(std::move(layers)), undo_(undo) {
    for (const auto& layer : layers_) set(*layer);
  }
  ~OnLayers() {
    for (const auto& layer : layers_) undo_(*layer);
  }
  OnLayers(const OnLayers&) = delete;
  OnLayers& operator=(const OnLayers&) = delete;

 private:
  std::vector<std::shared_ptr<ReferenceLayer>> layers_;
  Undo undo_;
};

}  // namespace

void capture_reference(const ModelView& model, const Tensor& batch) {
  if (!batch.defined() || batch.dim() < 2 || batch.size(0) < 1) {
    user_error("capture_reference: the reference batch is empty, expected at least one sample");
  }
  torch::NoGradGuard no_grad;
  const Undisturbed undisturbed(model.module());
  const OnLayers capturing(
      layers_of(model), [](auto& layer) { layer.capture(true); }, [](auto& layer) { layer.capture(false); });
  model.forward(batch);
}

ReferenceKeeper::ReferenceKeeper(ModelView model, Tensor batch)
    : model_(std::move(model)), batch_(std::move(batch)) {
  std::set<Reference> policies;
  for (const auto& layer : layers_of(model_)) {
    const Reference policy = layer->policy();
    if (!layer->has_reference() || policy == Reference::kMoving) continue;
    policies.insert(policy);
    if (policy == Reference::kRefreshed) {
      const std::int64_t every = layer->refresh_every();
      refresh_every_ = refresh_every_ == 0 ? every : std::min(refresh_every_, every);
    }
  }
  if (policies.size() > 1) {
    user_error(
        "ReferenceKeeper: the layers' references are of several policies; give them one, or one and moving");
  }
  live_ = policies.contains(Reference::kLive);
  captures_ = !policies.empty() && !live_;
  if ((live_ || captures_) && (!batch_.defined() || batch_.dim() < 2 || batch_.size(0) < 1)) {
    user_error("ReferenceKeeper: the reference batch is empty, expected at least one sample");
  }
}

bool ReferenceKeeper::all_idle() const {
  for (const auto& layer : layers_of(model_)) {
    if (layer->has_reference() && !layer->reference_idle()) return false;
  }
  return true;
}

bool ReferenceKeeper::due() const {
  if (!captures_) return false;
  if (refresh_every_ > 0 && steps_ % refresh_every_ == 0) return true;
  for (const auto& layer : layers_of(model_)) {
    if (layer->has_reference() && !layer->reference_idle() && layer->policy() != Reference::kMoving &&
        !layer->reference_captured())
      return true;
  }
  return false;
}

Tensor ReferenceKeeper::forward(const Tensor& x) {
  prepare();
  return forward_only(x);
}

void ReferenceKeeper::prepare() {
  if (!model_.module().is_training()) return;
  if (due()) capture_reference(model_, batch_);
  ++steps_;
}

Tensor ReferenceKeeper::forward_only(const Tensor& x) const {
  if (!live_ || !model_.module().is_training() || all_idle()) return model_.forward(x);
  const std::int64_t rows = batch_.size(0);
  const OnLayers riding(
      layers_of(model_), [rows](auto& layer) { layer.reference_rows(rows); },
      [](auto& layer) { layer.reference_rows(0); });
  const Tensor out = model_.forward(torch::cat({batch_, x}));
  return out.narrow(0, rows, out.size(0) - rows);
}

void ReferenceKeeper::prepare_evaluation() {
  for (const auto& layer : layers_of(model_)) {
    if (layer->evaluates_by_reference()) return capture_reference(model_, batch_);
  }
}

void ReferenceKeeper::refresh() {
  if (refresh_every_ > 0 || due()) capture_reference(model_, batch_);
}

}  // namespace refnorm
