#pragma once

#include <vector>

#include <refnorm/norms/channel_norm.h>

namespace refnorm {

struct LayerNormNdOptions {
  LayerNormNdOptions(std::int64_t num_features) : num_features_(num_features) {}  // NOLINT: as LibTorch's
  TORCH_ARG(std::int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, affine) = true;
};

/// Layer normalization (Ba et al. 2016) of x[N, C, *] as the paper has it: mean and biased variance of each
/// sample over all its channels and positions, weight and bias per channel; group normalization with one
/// group. (timm's LayerNorm2d is another one: it normalizes each position over its channels.) A sample of one
/// value would normalize to 0 whatever it is: UserError.
class LayerNormNdBase : public ChannelNorm {
 public:
  using Options = LayerNormNdOptions;
  LayerNormNdBase(const LayerNormNdOptions& given, int dims)
      : ChannelNorm({"LayerNorm", dims, given.num_features(), given.eps(), given.affine()}) {}

 protected:
  torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) override;
};

using LayerNorm1dImpl = Dimensional<LayerNormNdBase, 1>;
using LayerNorm2dImpl = Dimensional<LayerNormNdBase, 2>;
using LayerNorm3dImpl = Dimensional<LayerNormNdBase, 3>;
TORCH_MODULE(LayerNorm1d);
TORCH_MODULE(LayerNorm2d);
TORCH_MODULE(LayerNorm3d);

struct LayerNormOptions {
  LayerNormOptions(std::vector<std::int64_t> normalized_shape)  // NOLINT: as LibTorch's
      : normalized_shape_(std::move(normalized_shape)) {}
  TORCH_ARG(std::vector<std::int64_t>, normalized_shape);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, elementwise_affine) = true;
};

/// Layer normalization over the last axes, for sequences: x[*, normalized_shape], weight and bias of
/// normalized_shape; torch::nn::LayerNorm's, state names included.
class LayerNormImpl : public Cloneable<LayerNormImpl, NormLayer> {
 public:
  explicit LayerNormImpl(LayerNormOptions given);
  void reset() override;
  torch::Tensor normalize(const torch::Tensor& x, const ops::Then& then) override;
  void reset_parameters() override;
  void pretty_print(std::ostream& stream) const override;

  LayerNormOptions options;
  torch::Tensor weight, bias;
};
TORCH_MODULE(LayerNorm);

}  // namespace refnorm
