#pragma once

#include <string>
#include <vector>

#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/norms/reference_layer.h>

#include "tests/support/tensors.h"

namespace refnorm::testing {

/// One spec of every kind and mode, each for 4 channels.
inline std::vector<std::string> every_spec() {
  return {"none",
          "bn",
          "rbn",
          "rbn:live",
          "rbn:moving,weight=0.3",
          "rbn:fixed,variance=mixture",
          "brn:warmup=0",
          "ln",
          "in",
          "gn:2",
          "sn",
          "frozen_bn",
          "ghost:2",
          "vbn"};
}

/// The norm in float64, for 4 channels and 2 spatial axes, with weight and bias that are not 1 and 0, stored
/// statistics that are not 0 and 1, and its reference captured.
inline std::shared_ptr<NormLayer> double_layer(const std::string& spec, std::int64_t channels = 4,
                                               int dims = 2) {
  const auto layer = make_norm(NormSpec::parse(spec), channels, dims);
  layer->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  std::uint64_t seed = 900;
  const auto set = [&](const std::string& name, torch::Tensor tensor) {
    if (!tensor.defined()) return;
    const torch::Tensor values = random_double(tensor.sizes(), ++seed) * 0.2;
    if (name == "weight" || name.ends_with("_var")) tensor.copy_(values + 1);
    if (name == "bias" || name.ends_with("_mean")) tensor.copy_(values);
  };
  for (const auto& item : layer->named_parameters()) set(item.key(), item.value());
  for (const auto& item : layer->named_buffers()) set(item.key(), item.value());
  std::vector<std::int64_t> shape{5, channels};
  for (int axis = 0; axis < dims; ++axis) shape.push_back(3);
  capture_reference(*layer, random_double(shape, 899) + 0.5);
  return layer;
}

/// Gives a layer whose reference is live its rows, as ReferenceKeeper does; ends with the object.
class WithReferenceRows {
 public:
  WithReferenceRows(NormLayer& layer, std::int64_t rows) : layer_(dynamic_cast<ReferenceLayer*>(&layer)) {
    if (layer_ != nullptr && layer_->has_reference() && layer_->policy() == Reference::kLive)
      layer_->reference_rows(rows);
  }
  ~WithReferenceRows() {
    if (layer_ != nullptr) layer_->reference_rows(0);
  }
  WithReferenceRows(const WithReferenceRows&) = delete;
  WithReferenceRows& operator=(const WithReferenceRows&) = delete;

 private:
  ReferenceLayer* layer_;
};

/// What a layer's parameters and buffers hold.
inline std::vector<std::pair<std::string, torch::Tensor>> state_of(const torch::nn::Module& layer) {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (const auto& item : layer.named_parameters()) state.emplace_back(item.key(), item.value());
  for (const auto& item : layer.named_buffers()) state.emplace_back(item.key(), item.value());
  return state;
}

}  // namespace refnorm::testing
