#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/channel_norm.h>

namespace refnorm {

using torch::Tensor;

ChannelNorm::ChannelNorm(const Common& common)
    : type_name_(common.dims == kAnyDims ? common.name : fmt::format("{}{}d", common.name, common.dims)),
      dims_(common.dims),
      channels_(common.channels),
      eps_(common.eps),
      affine_(common.affine) {
  if (channels_ <= 0) user_error("{}: {} channels, expected at least 1", type_name_, channels_);
  if (!(eps_ > 0)) user_error("{}: eps is {}, expected above 0", type_name_, eps_);
}

void ChannelNorm::register_state() {
  weight = register_parameter("weight", affine_ ? torch::ones({channels_}) : Tensor(), affine_);
  bias = register_parameter("bias", affine_ ? torch::zeros({channels_}) : Tensor(), affine_);
}

void ChannelNorm::reset_parameters() {
  if (!weight.defined()) return;
  const torch::NoGradGuard no_grad;
  weight.fill_(1);
  bias.zero_();
}

Tensor ChannelNorm::normalize(const Tensor& x, const ops::Then& then) {
  check_input(x);
  if (x.numel() > 0) return compute(x, then);
  // The others would wait for it in vain.
  if (ops::joint_statistics() != nullptr)
    user_error("{}: an empty batch cannot take part in synchronized statistics", type_name_);
  // Nothing to normalize, but the parameters stay in the graph and get their zero gradients.
  Tensor y = x.clone();
  for (const Tensor& parameter : parameters(/*recurse=*/false)) {
    if (parameter.defined()) y = y + parameter.sum().to(x.scalar_type());
  }
  if (then.residual.defined()) y = y + then.residual;
  return then.relu ? torch::relu(y) : y;
}

ops::NormalizeBy ChannelNorm::by_batch(const Tensor& x, std::int64_t samples) {
  ops::NormalizeBy by;
  by.sets = {{ops::Partition::kBatch, 1}};
  by.batch = ops::batch_size_of(samples, x.numel() / (x.size(0) * x.size(1)));
  return by;
}

ops::Normalized ChannelNorm::apply(const Tensor& x, ops::NormalizeBy by, const ops::Then& then) const {
  by.eps = eps_;
  return ops::normalize(x, by, weight, bias, then);
}

void ChannelNorm::check_input(const Tensor& x) const {
  const bool right_axes =
      dims_ == kAnyDims ? x.dim() >= 2 : x.dim() == dims_ + 2 || (dims_ == 1 && x.dim() == 2);
  if (!right_axes || x.size(1) != channels_) {
    const std::string axes = dims_ == kAnyDims ? "at least 2 axes"
                             : dims_ == 1      ? "2 or 3 axes"
                                               : fmt::format("{} axes", dims_ + 2);
    user_error("{}: expected an input of {} with {} channels, got shape [{}]", type_name_, axes, channels_,
               fmt::join(x.sizes(), ", "));
  }
  if (!x.is_floating_point()) user_error("{}: expected floating-point values", type_name_);
}

void ChannelNorm::require_values(std::int64_t values, const Tensor& x, const char* where) const {
  if (values > 1) return;
  user_error("{}: expected more than 1 value {}, got an input of shape [{}]", type_name_, where,
             fmt::join(x.sizes(), ", "));
}

void ChannelNorm::pretty_print(std::ostream& stream) const {
  stream << fmt::format("refnorm::{}({}, eps={}{}, affine={})", type_name_, channels_, eps_, more_options(),
                        affine_);
}

}  // namespace refnorm
