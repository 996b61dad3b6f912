#pragma once

#include <torch/nn/cloneable.h>

#include <refnorm/norms/norm_layer.h>

namespace refnorm {

/// y = x: the arm without normalization. It remembers what was asked for in its place, so that convert() can
/// put a norm there.
class NoNormImpl : public NormLayer, public torch::nn::Cloneable<NoNormImpl> {
 public:
  NoNormImpl(std::int64_t channels, int dims) : channels_(channels), dims_(dims) {}
  std::int64_t channels() const { return channels_; }
  int dims() const { return dims_; }
  void reset() override {}
  torch::Tensor normalize(const torch::Tensor& x, const ops::Then& then) override;
  void pretty_print(std::ostream& stream) const override { stream << "refnorm::NoNorm"; }
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override {
    NormLayer::to(device, dtype, non_blocking);
  }
  void to(torch::Dtype dtype, bool non_blocking = false) override { NormLayer::to(dtype, non_blocking); }
  using NormLayer::to;

 private:
  std::int64_t channels_;
  int dims_;
};

}  // namespace refnorm
