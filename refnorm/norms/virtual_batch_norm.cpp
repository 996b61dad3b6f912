#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/norm_registry.h>
#include <refnorm/norms/virtual_batch_norm.h>

namespace refnorm {

using torch::Tensor;

void VirtualBatchNormBase::register_state() {
  ChannelNorm::register_state();
  register_reference(*this, channels());
  num_ref_samples = register_buffer("num_ref_samples", torch::zeros({}, torch::dtype(torch::kLong)));
}

void VirtualBatchNormBase::reset_parameters() {
  ChannelNorm::reset_parameters();
  reset_reference();
  num_ref_samples.zero_();
}

void VirtualBatchNormBase::keep_reference(const ops::SetMoments& moments, std::int64_t samples) {
  if (store_reference(moments.mean.flatten(), moments.var.flatten())) num_ref_samples.fill_(samples);
}

/// The reference by itself.
Tensor VirtualBatchNormBase::compute_reference(const Tensor& x, const ops::Then& then) {
  ops::NormalizeBy by;
  by.sets = {{x.size(0), 1}};
  const auto out = apply(x, by, then);
  keep_reference(out.sources[0], x.size(0));
  return out.y;
}

Tensor VirtualBatchNormBase::compute(const Tensor& x, const ops::Then& then) {
  const std::int64_t rows = reference_rows_;
  if (capturing_ || (rows > 0 && x.size(0) == rows)) return compute_reference(x, then);
  if (rows == 0 && is_training()) {
    user_error(
        "{}: its live reference needs its samples in front of the batch; call the model through "
        "ReferenceKeeper::forward",
        type_name());
  }
  if (rows > x.size(0)) {
    user_error("{}: {} samples arrived, expected {} of the reference in front of the batch", type_name(),
               x.size(0), rows);
  }
  ops::NormalizeBy by;
  by.sets = {{1, 1}};
  by.mixture = true;
  const auto set_weights = [&](std::int64_t samples) {
    const double own = 1.0 / static_cast<double>(samples + 1);
    by.mean_weights = by.var_weights = torch::tensor({own, 1 - own}, torch::dtype(torch::kDouble));
  };
  if (rows > 0) {
    by.reference_rows = rows;
    set_weights(rows);
    const auto out = apply(x, by, then);
    if (is_training()) keep_reference(out.sources[1], rows);
    return out.y;
  }
  if (!reference_captured()) {
    user_error("{}({}): its reference was never captured; call capture_reference(model, batch)", type_name(),
               channels());
  }
  by.stored_mean = ref_mean;
  by.stored_var = ref_var;
  set_weights(num_ref_samples.item<std::int64_t>());
  return apply(x, by, then).y;
}

NormEntry virtual_batch_norm_entry() {
  return {{"vbn", "virtual batch normalization",
           "as bn, by each sample's own mean and mean square blended, 1 : R, with those of a live reference "
           "batch of "
           "R samples",
           "Salimans et al. 2016", affine_options()},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            VirtualBatchNormOptions options(channels);
            read_affine(reader, options);
            return made<VirtualBatchNormBase>(reader, options, dims);
          }};
}

}  // namespace refnorm
