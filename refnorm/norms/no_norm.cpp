#include <torch/types.h>

#include <refnorm/norms/no_norm.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {

torch::Tensor NoNormImpl::normalize(const torch::Tensor& x, const ops::Then& then) {
  const torch::Tensor y = then.residual.defined() ? x + then.residual : x;
  return then.relu ? torch::relu(y) : y;
}

NormEntry no_norm_entry() {
  return {{"none", "no normalization", "y = x", "the paper's first arm", {}},
          [](OptionReader& options, std::int64_t channels, int dims) -> std::shared_ptr<NormLayer> {
            options.done();
            if (channels == 0) return nullptr;
            return std::make_shared<NoNormImpl>(channels, dims);
          }};
}

}  // namespace refnorm
