#include <torch/types.h>

#include <refnorm/norms/instance_norm.h>
#include <refnorm/norms/no_norm.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {

torch::Tensor InstanceNormBase::compute(const torch::Tensor& x, const ops::Then& then) {
  require_values(x.numel() / (x.size(0) * x.size(1)), x, "a sample and channel");
  ops::NormalizeBy by;
  by.sets = {{1, 1}};
  return apply(x, by, then).y;
}

NormEntry instance_norm_entry() {
  return {
      {"in", "instance normalization",
       "as bn, by mean and variance of each sample's each channel; left out on dense layers, where it would "
       "erase its input",
       "Ulyanov et al. 2016", affine_options()},
      [](OptionReader& reader, std::int64_t channels, int dims) -> std::shared_ptr<NormLayer> {
        InstanceNormOptions options(channels);
        options.affine(true);
        read_affine(reader, options);
        std::shared_ptr<NormLayer> layer = made<InstanceNormBase>(reader, options, dims);
        if (layer != nullptr && dims == 0) return std::make_shared<NoNormImpl>(channels, dims);
        return layer;
      }};
}

}  // namespace refnorm
