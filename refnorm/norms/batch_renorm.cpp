#include <algorithm>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/batch_renorm.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {

using torch::Tensor;

BatchRenormBase::BatchRenormBase(const BatchRenormOptions& given, int dims)
    : BatchStatisticsLayer({"BatchRenorm", dims, given.num_features(), given.eps(), given.affine()},
                           given.momentum()),
      options(given) {
  if (!(options.r_max() >= 1))
    user_error("{}: r_max is {}, expected at least 1", type_name(), options.r_max());
  if (!(options.d_max() >= 0))
    user_error("{}: d_max is {}, expected at least 0", type_name(), options.d_max());
  if (options.warmup() < 0)
    user_error("{}: warmup is {}, expected at least 0", type_name(), options.warmup());
}

BatchRenormBase::Limits BatchRenormBase::limits(std::int64_t steps) const {
  const auto at = [&](double first, double last, std::int64_t arrival) {
    if (steps < options.warmup()) return first;
    if (steps >= arrival) return last;
    const auto gone = static_cast<double>(steps - options.warmup());
    return first + (last - first) * gone / static_cast<double>(arrival - options.warmup());
  };
  return {at(1, options.r_max(), options.r_max_steps()), at(0, options.d_max(), options.d_max_steps())};
}

Tensor BatchRenormBase::compute_by_batch(const Tensor& x, const ops::Then& then) {
  ops::NormalizeBy by = by_batch(x, x.size(0));
  const std::int64_t values = by.batch.values;
  require_values(values, x, "a channel in training");
  const Limits limit = limits(num_batches_tracked.item<std::int64_t>());
  by.renorm_mean = running_mean;
  by.renorm_var = running_var;
  by.r_max = limit.r_max;
  by.d_max = limit.d_max;
  const auto out = apply(x, by, then);

  // What the batch was normalized by, as one mean and one deviation: (x − mu_B)/s_B · r + d = (x − mu')/s'
  // with s' = s_B/r and mu' = mu_B − d·s'.
  const torch::NoGradGuard no_grad;
  BatchObservation seen = plain_observation(out.sources[0], values);
  const Tensor target = (running_var.to(torch::kDouble) + eps()).sqrt();
  const Tensor own = (seen.raw_var + eps()).sqrt();
  const Tensor r = (own / target).clamp(1 / limit.r_max, limit.r_max);
  const Tensor d = ((seen.raw_mean - running_mean) / target).clamp(-limit.d_max, limit.d_max);
  const Tensor deviation = own / r;
  seen.blended_mean = seen.raw_mean - d * deviation;
  seen.blended_var = (deviation.square() - eps()).clamp_min(0);
  observe(seen);
  update_running(seen.raw_mean, seen.raw_var);
  return out.y;
}

std::string BatchRenormBase::more_options() const {
  return fmt::format(", r_max={}, d_max={}, warmup={}", options.r_max(), options.d_max(), options.warmup());
}

NormEntry batch_renorm_entry() {
  return {{"brn", "batch renormalization",
           "as bn, then · r + d before weight and bias: r, d turn the batch's statistics into the running "
           "ones, within "
           "limits",
           "Ioffe 2017",
           running_options({{"r_max=R", "r stays within 1/R and R in the end (3)"},
                            {"d_max=D", "d stays within −D and D in the end (5)"},
                            {"warmup=K", "steps as plain batch norm, r = 1 and d = 0 (5000)"},
                            {"r_max_steps=K", "the step at which r_max is reached (40000)"},
                            {"d_max_steps=K", "the step at which d_max is reached (25000)"}},
                           "0.01")},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            BatchRenormOptions options(channels);
            read_affine(reader, options);
            read_running(reader, options);
            if (const auto r_max = reader.number("r_max", 1, kNoBound)) options.r_max(*r_max);
            if (const auto d_max = reader.number("d_max", 0, kNoBound)) options.d_max(*d_max);
            if (const auto steps = reader.count("warmup", 0)) options.warmup(*steps);
            if (const auto steps = reader.count("r_max_steps", 0)) options.r_max_steps(*steps);
            if (const auto steps = reader.count("d_max_steps", 0)) options.d_max_steps(*steps);
            return made<BatchRenormBase>(reader, options, dims);
          }};
}

}  // namespace refnorm
