#include <torch/nn/cloneable.h>

#include <refnorm/norms/norm_registry.h>

namespace refnorm {
namespace {

class NoNormImpl : public NormLayer, public torch::nn::Cloneable<NoNormImpl> {
 public:
  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override { return x; }
  void pretty_print(std::ostream& stream) const override { stream << "refnorm::NoNorm"; }
};

}  // namespace

NormEntry no_norm_entry() {
  return {{"none", "no normalization", "y = x", "the paper's first arm", {}},
          [](OptionReader& options, std::int64_t channels, int) -> std::shared_ptr<NormLayer> {
            options.done();
            if (channels == 0) return nullptr;
            return std::make_shared<NoNormImpl>();
          }};
}

}  // namespace refnorm
