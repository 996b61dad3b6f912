#pragma once

#include <refnorm/norms/channel_norm.h>

namespace refnorm {

struct GroupNormOptions {
  GroupNormOptions(std::int64_t num_groups, std::int64_t num_channels)
      : num_groups_(num_groups), num_channels_(num_channels) {}
  TORCH_ARG(std::int64_t, num_groups);
  TORCH_ARG(std::int64_t, num_channels);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(bool, affine) = true;
};

/// Group normalization (Wu & He 2018) of x[N, C, *]: mean and biased variance of each sample's each group of
/// C/groups adjacent channels; the same in training and evaluation. Throws UserError where the channels do
/// not divide into the groups, and for an input with one value a group, which would normalize to 0 whatever
/// it is.
class GroupNormImpl : public Cloneable<GroupNormImpl, ChannelNorm> {
 public:
  GroupNormImpl(std::int64_t num_groups, std::int64_t num_channels)
      : GroupNormImpl(GroupNormOptions(num_groups, num_channels)) {}
  explicit GroupNormImpl(const GroupNormOptions& given);
  void reset() override { register_state(); }

  GroupNormOptions options;

 protected:
  torch::Tensor compute(const torch::Tensor& x, const ops::Then& then) override;
  std::string more_options() const override;
};
TORCH_MODULE(GroupNorm);

}  // namespace refnorm
