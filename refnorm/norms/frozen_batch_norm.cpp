#include <torch/types.h>

#include <refnorm/norms/frozen_batch_norm.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {

void FrozenBatchNormBase::register_state() {
  weight = register_buffer("weight", torch::ones({channels()}));
  bias = register_buffer("bias", torch::zeros({channels()}));
  running_mean = register_buffer("running_mean", torch::zeros({channels()}));
  running_var = register_buffer("running_var", torch::ones({channels()}));
}

void FrozenBatchNormBase::reset_parameters() {
  ChannelNorm::reset_parameters();
  running_mean.zero_();
  running_var.fill_(1);
}

torch::Tensor FrozenBatchNormBase::compute(const torch::Tensor& x, const ops::Then& then) {
  ops::NormalizeBy by;
  by.stored_mean = running_mean;
  by.stored_var = running_var;
  return apply(x, by, then).y;
}

NormEntry frozen_batch_norm_entry() {
  return {{"frozen_bn",
           "frozen batch normalization",
           "as bn, by stored statistics, weight and bias, which training does not change",
           "He et al. 2017 (Mask R-CNN), torchvision's FrozenBatchNorm2d",
           {{"eps=E", "added to the variance under the root (1e-5)"}}},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            FrozenBatchNormOptions options(channels);
            if (const auto eps = reader.number("eps", std::numeric_limits<double>::min(), kNoBound)) {
              options.eps(*eps);
            }
            return made<FrozenBatchNormBase>(reader, options, dims);
          }};
}

}  // namespace refnorm
