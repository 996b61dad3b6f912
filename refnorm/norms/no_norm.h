#pragma once

#include <refnorm/norms/cloneable.h>
#include <refnorm/norms/norm_layer.h>

namespace refnorm {

/// y = x: the arm without normalization. It remembers what was asked for in its place, so that convert() can
/// put a norm there.
class NoNormImpl : public Cloneable<NoNormImpl, NormLayer> {
 public:
  NoNormImpl(std::int64_t channels, int dims) : channels_(channels), dims_(dims) {}
  std::int64_t channels() const { return channels_; }
  int dims() const { return dims_; }
  void reset() override {}
  torch::Tensor normalize(const torch::Tensor& x, const ops::Then& then) override;
  void pretty_print(std::ostream& stream) const override { stream << "refnorm::NoNorm"; }

 private:
  std::int64_t channels_;
  int dims_;
};

}  // namespace refnorm
