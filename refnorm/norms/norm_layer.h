#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace refnorm {

/// What models hold in a place where a normalization goes; models never name a concrete one.
class NormLayer : public virtual torch::nn::Module {
 public:
  /// x[N, C, *] -> the same shape and dtype.
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
};

/// Makes the normalization of `channels` channels for inputs of `dims` spatial axes (0 for dense layers).
using NormFactory = std::function<std::shared_ptr<NormLayer>(std::int64_t channels, int dims)>;

/// Which statistics a layer with batch statistics normalizes by.
enum class Statistics {
  kByMode,      ///< batch in train(), running in eval()
  kBatch,       ///< those of the batch, as in training (for RBN: blended with the reference)
  kRunning,     ///< the moving averages
  kPopulation,  ///< Algorithm 3's; see population.h
};

/// What one batch showed a layer; tensors of [C] without gradient.
struct BatchObservation {
  torch::Tensor raw_mean, raw_var;          ///< mu_B and the biased var_B
  torch::Tensor blended_mean, blended_var;  ///< mu' and var', what the batch was normalized by
  std::int64_t values = 0;                  ///< values a channel had in the batch
};

/// A normalization that trains on the statistics of the batch and evaluates on stored ones. Three switches,
/// each of which survives train() and eval(): which statistics are used, whether they are updated, whether
/// the affine parameters learn.
class BatchStatisticsLayer : public NormLayer {
 public:
  void use_statistics(Statistics which) { statistics_ = which; }
  Statistics statistics() const { return statistics_; }

  /// Whether a stored statistic is used in train() too: the layer is frozen.
  bool frozen() const {
    return statistics_ == Statistics::kRunning || statistics_ == Statistics::kPopulation;
  }

  /// Whether running averages (and a moving reference) are updated by batches in train(). Default: true.
  void update_statistics(bool on) { update_statistics_ = on; }
  bool updates_statistics() const { return update_statistics_; }

  /// Whether weight and bias receive gradients. Default: true. No effect without affine parameters.
  virtual void learn_affine(bool on) = 0;

  /// Algorithm 3's statistics, [C] each; kept beside the state, not in it. Throws UserError unless finite, of
  /// [C].
  virtual void set_population(const torch::Tensor& mean, const torch::Tensor& var) = 0;

  /// Called with every batch that is normalized by batch statistics; an empty function ends it.
  void observe_batches(std::function<void(const BatchObservation&)> observer) {
    observer_ = std::move(observer);
  }

 protected:
  Statistics statistics_ = Statistics::kByMode;
  bool update_statistics_ = true;
  std::function<void(const BatchObservation&)> observer_;
};

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

/// Sets the first switch on every layer of the model that has it.
void use_statistics(torch::nn::Module& model, Statistics which);

}  // namespace refnorm
