#include <torch/nn/module.h>

#include <refnorm/norms/batch_statistics.h>
#include <refnorm/norms/reference_layer.h>

namespace refnorm {

void ReferenceLayer::register_reference(torch::nn::Module& self, std::int64_t channels) {
  ref_mean = self.register_buffer("ref_mean", torch::zeros({channels}));
  ref_var = self.register_buffer("ref_var", torch::ones({channels}));
  num_ref_captures = self.register_buffer("num_ref_captures", torch::zeros({}, torch::dtype(torch::kLong)));
}

void ReferenceLayer::reset_reference() {
  if (!ref_mean.defined()) return;
  ref_mean.zero_();
  ref_var.fill_(1);
  num_ref_captures.zero_();
}

bool ReferenceLayer::reference_captured() const {
  return has_reference() && num_ref_captures.item<std::int64_t>() > 0;
}

bool ReferenceLayer::store_reference(const torch::Tensor& mean, const torch::Tensor& var) {
  if (!average_into(ref_mean, ref_var, mean, var, 1.0)) return false;
  num_ref_captures.add_(1);
  return true;
}

}  // namespace refnorm
