#include <ATen/Dispatch.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/batch_statistics.h>

namespace refnorm {

using torch::Tensor;

BatchStatisticsLayer::BatchStatisticsLayer(const Common& common, std::optional<double> momentum)
    : ChannelNorm(common), momentum_(momentum) {
  if (momentum_ && !(*momentum_ >= 0 && *momentum_ <= 1)) {
    user_error("{}: momentum is {}, expected 0 to 1", type_name(), *momentum_);
  }
}

void BatchStatisticsLayer::register_state() {
  ChannelNorm::register_state();
  running_mean = register_buffer("running_mean", torch::zeros({channels()}));
  running_var = register_buffer("running_var", torch::ones({channels()}));
  num_batches_tracked = register_buffer("num_batches_tracked", torch::zeros({}, torch::dtype(torch::kLong)));
}

void BatchStatisticsLayer::reset_running_stats() {
  running_mean.zero_();
  running_var.fill_(1);
  num_batches_tracked.zero_();
}

void BatchStatisticsLayer::reset_parameters() {
  ChannelNorm::reset_parameters();
  reset_running_stats();
}

void BatchStatisticsLayer::set_population(const Tensor& mean, const Tensor& var) {
  for (const Tensor& given : {mean, var}) {
    if (given.dim() != 1 || given.size(0) != channels() || !torch::isfinite(given).all().item<bool>()) {
      user_error("{}: population statistics must be {} finite numbers", type_name(), channels());
    }
  }
  population_mean_ = mean.detach().to(running_mean.options()).clone();
  population_var_ = var.detach().to(running_var.options()).clone();
}

void BatchStatisticsLayer::take_over(const BatchStatisticsLayer& other) {
  statistics_ = other.statistics_;
  update_statistics_ = other.update_statistics_;
  population_mean_ = other.population_mean_;
  population_var_ = other.population_var_;
}

Tensor BatchStatisticsLayer::compute(const Tensor& x, const ops::Then& then) {
  const bool running =
      statistics_ == Statistics::kRunning || (statistics_ == Statistics::kByMode && !is_training());
  if (running) return compute_by_stored(x, running_mean, running_var, then);
  if (statistics_ != Statistics::kPopulation) return compute_by_batch(x, then);
  if (!has_population()) user_error("{}: its population statistics were never taken", type_name());
  return compute_by_stored(x, population_mean_.to(x.device()), population_var_.to(x.device()), then);
}

Tensor BatchStatisticsLayer::compute_by_stored(const Tensor& x, const Tensor& mean, const Tensor& var,
                                               const ops::Then& then) {
  ops::NormalizeBy by;
  by.stored_mean = mean;
  by.stored_var = var;
  return apply(x, by, then).y;
}

void BatchStatisticsLayer::update_running(const Tensor& mean, const Tensor& var) {
  if (!updating()) return;
  const torch::NoGradGuard no_grad;
  const auto seen = static_cast<double>(num_batches_tracked.item<std::int64_t>());
  if (average_into(running_mean, running_var, mean, var, momentum_.value_or(1 / (seen + 1)))) {
    num_batches_tracked.add_(1);
  }
}

void BatchStatisticsLayer::record(const BatchObservation& seen) {
  observe(seen);
  if (!updating()) return;
  const auto n = static_cast<double>(seen.values);
  update_running(seen.blended_mean, n > 1 ? seen.blended_var * (n / (n - 1)) : seen.blended_var);
}

namespace {

bool all_finite(const double* mean, const double* var, std::int64_t count) {
  double sum = 0;  // of zeros, unless something is not finite
  for (std::int64_t c = 0; c < count; ++c) sum += (mean[c] - mean[c]) + (var[c] - var[c]);
  return sum == 0;
}

template <class T>
void average_values(T* stored, const double* fresh, std::int64_t count, double rate) {
  for (std::int64_t c = 0; c < count; ++c) {
    const auto before = static_cast<double>(stored[c]);
    stored[c] = static_cast<T>(before + rate * (fresh[c] - before));
  }
}

/// Whether the loops above do it: C numbers take less time than calling one operator.
bool plain_numbers(const Tensor& stored, const Tensor& fresh) {
  return stored.is_cpu() && stored.is_contiguous() && fresh.is_cpu() && fresh.is_contiguous() &&
         fresh.scalar_type() == torch::kDouble &&
         (stored.scalar_type() == torch::kFloat || stored.scalar_type() == torch::kDouble);
}

}  // namespace

bool average_into(Tensor& stored_mean, Tensor& stored_var, const Tensor& mean, const Tensor& var,
                  double rate) {
  const torch::NoGradGuard no_grad;
  if (plain_numbers(stored_mean, mean) && plain_numbers(stored_var, var)) {
    const std::int64_t count = stored_mean.numel();
    if (!all_finite(mean.data_ptr<double>(), var.data_ptr<double>(), count)) return false;
    for (const auto& [stored, fresh] : {std::pair(stored_mean, mean), std::pair(stored_var, var)}) {
      AT_DISPATCH_FLOATING_TYPES(stored.scalar_type(), "average_into", [&, &to = stored, &from = fresh] {
        average_values(to.data_ptr<scalar_t>(), from.data_ptr<double>(), count, rate);
      });
    }
    return true;
  }
  if (!torch::isfinite(mean + var).all().item<bool>()) return false;
  // In the precision of the new numbers: those of a batch are kept in double.
  stored_mean.copy_(torch::lerp(stored_mean.to(mean.scalar_type()), mean, rate));
  stored_var.copy_(torch::lerp(stored_var.to(var.scalar_type()), var, rate));
  return true;
}

BatchObservation plain_observation(const ops::SetMoments& moments, std::int64_t values) {
  const Tensor mean = moments.mean.flatten();
  const Tensor var = moments.var.flatten();
  return {mean, var, mean, var, values};
}

void use_statistics(torch::nn::Module& model, Statistics which) {
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(model)) layer->use_statistics(which);
}

void freeze(torch::nn::Module& model) {
  for (const auto& [name, layer] : find_layers<NormLayer>(model)) layer->learn_affine(false);
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(model)) {
    layer->use_statistics(layer->has_population() ? Statistics::kPopulation : Statistics::kRunning);
    layer->update_statistics(false);
  }
}

void unfreeze(torch::nn::Module& model) {
  for (const auto& [name, layer] : find_layers<NormLayer>(model)) layer->learn_affine(true);
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(model)) {
    layer->use_statistics(Statistics::kByMode);
    layer->update_statistics(true);
  }
}

}  // namespace refnorm
