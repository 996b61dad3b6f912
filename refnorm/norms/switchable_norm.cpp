#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/norms/norm_registry.h>
#include <refnorm/norms/switchable_norm.h>

namespace refnorm {

using torch::Tensor;

void SwitchableNormBase::register_state() {
  BatchStatisticsLayer::register_state();
  const std::int64_t sources = options.instance() ? 3 : 2;
  mean_weight = register_parameter("mean_weight", torch::ones({sources}));
  var_weight = register_parameter("var_weight", torch::ones({sources}));
}

void SwitchableNormBase::reset_parameters() {
  BatchStatisticsLayer::reset_parameters();
  const torch::NoGradGuard no_grad;
  mean_weight.fill_(1);
  var_weight.fill_(1);
}

/// Instance and layer statistics, and the weights of all sources.
ops::NormalizeBy SwitchableNormBase::sample_sources() const {
  ops::NormalizeBy by;
  if (options.instance()) by.sets.push_back({1, 1});
  by.sets.push_back({1, channels()});
  by.mean_weights = torch::softmax(mean_weight.to(torch::kDouble), 0);
  by.var_weights = torch::softmax(var_weight.to(torch::kDouble), 0);
  return by;
}

Tensor SwitchableNormBase::compute_by_batch(const Tensor& x, const ops::Then& then) {
  ops::NormalizeBy by = sample_sources();
  const ops::NormalizeBy batch = by_batch(x, x.size(0));
  by.sets.push_back(batch.sets[0]);
  by.batch = batch.batch;
  const auto out = apply(x, by, then);
  record(plain_observation(out.sources.back(), by.batch.values));
  return out.y;
}

Tensor SwitchableNormBase::compute_by_stored(const Tensor& x, const Tensor& mean, const Tensor& var,
                                             const ops::Then& then) {
  ops::NormalizeBy by = sample_sources();
  by.stored_mean = mean;
  by.stored_var = var;
  return apply(x, by, then).y;
}

NormEntry switchable_norm_entry() {
  return {{"sn", "switchable normalization",
           "as bn, by sum_k a_k mu_k and sum_k b_k var_k over the statistics k of in, ln and bn; a and b are "
           "softmaxes "
           "of learned weights; without in on dense layers",
           "Luo et al. 2018", running_options()},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            SwitchableNormOptions options(channels);
            options.instance(dims > 0);
            read_affine(reader, options);
            read_running(reader, options);
            return made<SwitchableNormBase>(reader, options, dims);
          }};
}

}  // namespace refnorm
