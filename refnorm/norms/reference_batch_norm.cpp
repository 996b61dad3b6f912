#include <algorithm>

#include <torch/torch.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/reference_batch_norm.h>

namespace refnorm {

using ops::Moments;
using torch::Tensor;

namespace {

Tensor all_finite(const Moments& moments) {
  return torch::isfinite(moments.mean).all().logical_and_(torch::isfinite(moments.var).all());
}

/// stored <- stored + rate · (fresh − stored), unless `finite` is false.
void average_into(Tensor& stored, const Tensor& fresh, double rate, const Tensor& finite) {
  stored.copy_(torch::where(finite, torch::lerp(stored, fresh.to(stored.scalar_type()), rate), stored));
}

double newest_weight(const std::optional<double>& momentum, const Tensor& count) {
  return momentum ? *momentum : 1.0 / static_cast<double>(count.item<std::int64_t>());
}

}  // namespace

ReferenceBatchNormOptions without_reference(const BatchNormOptions& options) {
  return ReferenceBatchNormOptions(options.num_features())
      .eps(options.eps())
      .momentum(options.momentum())
      .affine(options.affine())
      .reference_weight(0.0);
}

ReferenceBatchNormBase::ReferenceBatchNormBase(const ReferenceBatchNormOptions& given, int dims,
                                               const char* type_name)
    : options(given), dims_(dims), type_name_(type_name) {
  if (options.num_features() <= 0)
    user_error("{}: num_features is {}, expected at least 1", type_name_, options.num_features());
  if (!(options.eps() > 0)) user_error("{}: eps is {}, expected above 0", type_name_, options.eps());
  if (options.refresh_every() < 1)
    user_error("{}: refresh_every is {}, expected at least 1", type_name_, options.refresh_every());
  const auto in_unit_interval = [&](const char* name, const std::optional<double>& value) {
    if (value && !(*value >= 0 && *value <= 1))
      user_error("{}: {} is {}, expected 0 to 1", type_name_, name, *value);
  };
  in_unit_interval("momentum", options.momentum());
  in_unit_interval("reference_weight", options.reference_weight());
  in_unit_interval("reference_momentum", options.reference_momentum());
}

void ReferenceBatchNormBase::register_state() {
  const std::int64_t channels = options.num_features();
  const auto count = torch::dtype(torch::kLong);
  if (options.affine()) {
    weight = register_parameter("weight", torch::empty({channels}));
    bias = register_parameter("bias", torch::empty({channels}));
  } else {
    weight = register_parameter("weight", Tensor(), /*requires_grad=*/false);
    bias = register_parameter("bias", Tensor(), /*requires_grad=*/false);
  }
  running_mean = register_buffer("running_mean", torch::empty({channels}));
  running_var = register_buffer("running_var", torch::empty({channels}));
  num_batches_tracked = register_buffer("num_batches_tracked", torch::zeros({}, count));
  if (has_reference()) {
    ref_mean = register_buffer("ref_mean", torch::empty({channels}));
    ref_var = register_buffer("ref_var", torch::empty({channels}));
    num_ref_captures = register_buffer("num_ref_captures", torch::zeros({}, count));
  }
  reset_parameters();
}

void ReferenceBatchNormBase::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  torch::nn::Module::to(device, dtype, non_blocking);
  restore_counters();
}

void ReferenceBatchNormBase::to(torch::Dtype dtype, bool non_blocking) {
  torch::nn::Module::to(dtype, non_blocking);
  restore_counters();
}

void ReferenceBatchNormBase::restore_counters() {
  for (Tensor* counter : {&num_batches_tracked, &num_ref_captures}) {
    if (counter->defined()) counter->set_data(counter->to(torch::kLong));
  }
}

void ReferenceBatchNormBase::reset_running_stats() {
  running_mean.zero_();
  running_var.fill_(1);
  num_batches_tracked.zero_();
}

void ReferenceBatchNormBase::reset_parameters() {
  reset_running_stats();
  if (has_reference()) {
    ref_mean.zero_();
    ref_var.fill_(1);
    num_ref_captures.zero_();
  }
  if (options.affine()) {
    torch::NoGradGuard no_grad;
    weight.fill_(1);
    bias.zero_();
  }
}

void ReferenceBatchNormBase::learn_affine(bool on) {
  if (!options.affine()) return;
  weight.requires_grad_(on);
  bias.requires_grad_(on);
}

void ReferenceBatchNormBase::set_population(const Tensor& mean, const Tensor& var) {
  for (const Tensor& given : {mean, var}) {
    if (given.dim() != 1 || given.size(0) != options.num_features() ||
        !torch::isfinite(given).all().item<bool>()) {
      user_error("{}: population statistics must be {} finite numbers", type_name_, options.num_features());
    }
  }
  population_mean_ = mean.detach().to(running_mean.options()).clone();
  population_var_ = var.detach().to(running_var.options()).clone();
}

bool ReferenceBatchNormBase::reference_captured() const {
  return has_reference() && num_ref_captures.item<std::int64_t>() > 0;
}

Tensor ReferenceBatchNormBase::forward(const Tensor& x) {
  check_input(x);
  if (x.numel() == 0) {
    // Nothing to normalize, but the affine parameters stay in the graph and get their zero gradients.
    return options.affine() ? x * weight.sum() + bias.sum() : x.clone();
  }
  if (capturing_ && !frozen()) return forward_capture(x);
  switch (statistics_) {
    case Statistics::kRunning:
      return normalize(x, {running_mean, running_var});
    case Statistics::kPopulation:
      if (!population_mean_.defined())
        user_error("{}: its population statistics were never taken", type_name_);
      return normalize(x, {population_mean_.to(x.device()), population_var_.to(x.device())});
    case Statistics::kByMode:
      if (!is_training()) return normalize(x, {running_mean, running_var});
      break;
    case Statistics::kBatch:
      break;
  }
  return forward_batch(x);
}

Tensor ReferenceBatchNormBase::forward_capture(const Tensor& x) {
  const Moments own = ops::channel_moments(x);
  // A moving reference is the layer's own; the batch only passes through.
  if (has_reference() && options.reference() != Reference::kMoving) store_reference(own);
  return normalize(x, own);
}

Tensor ReferenceBatchNormBase::forward_batch(const Tensor& x) {
  if (reference_rows_ > 0 && options.reference() == Reference::kLive && has_reference())
    return forward_live(x);
  if (!has_reference() && x.numel() == x.size(1)) {
    user_error("{}: expected more than 1 value a channel in training, got an input of shape [{}]", type_name_,
               fmt::join(x.sizes(), ", "));
  }
  if (options.reference() == Reference::kLive && has_reference() && is_training()) {
    user_error(
        "{}: a live reference needs its samples in front of the batch; call the model through "
        "ReferenceKeeper::forward",
        type_name_);
  }
  return normalize_blended(x, {});
}

Tensor ReferenceBatchNormBase::forward_live(const Tensor& x) {
  const std::int64_t rows = reference_rows_;
  if (x.size(0) < rows) {
    user_error("{}: {} samples arrived, expected {} of the reference in front of the batch", type_name_,
               x.size(0), rows);
  }
  const Tensor reference_part = x.narrow(0, 0, rows);
  const Tensor batch_part = x.narrow(0, rows, x.size(0) - rows);
  const Moments reference = ops::channel_moments(reference_part);
  if (is_training() && update_statistics_) store_reference({reference.mean.detach(), reference.var.detach()});
  const Tensor reference_out = normalize(reference_part, reference);
  if (batch_part.numel() == 0) return reference_out;
  return torch::cat({reference_out, normalize_blended(batch_part, reference)});
}

/// Normalizes by the batch's statistics blended with `reference` (undefined: the stored one), and records
/// them.
Tensor ReferenceBatchNormBase::normalize_blended(const Tensor& x, const Moments& reference) {
  const Moments batch = ops::channel_moments(x);
  Moments blended = batch;
  if (has_reference()) {
    blended = blend(batch, reference.mean.defined() ? reference : stored_reference(batch), x.size(0));
  }
  record(batch, blended, x.numel() / x.size(1));
  return normalize(x, blended);
}

void ReferenceBatchNormBase::record(const Moments& batch, const Moments& blended, std::int64_t values) {
  torch::NoGradGuard no_grad;
  if (observer_) {
    observer_({batch.mean.detach(), batch.var.detach(), blended.mean.detach(), blended.var.detach(), values});
  }
  if (!is_training() || !update_statistics_) return;
  update_running(blended, values);
  if (has_reference() && options.reference() == Reference::kMoving) update_moving_reference(batch);
}

Tensor ReferenceBatchNormBase::normalize(const Tensor& x, const Moments& by) const {
  return ops::channel_normalize(x, by.mean, by.var, weight, bias, options.eps());
}

Moments ReferenceBatchNormBase::blend(const Moments& batch, const Moments& reference,
                                      std::int64_t samples) const {
  const double l1 = options.reference_weight().value_or(1.0 / static_cast<double>(samples + 1));
  Moments blended{torch::lerp(batch.mean, reference.mean.to(batch.mean.scalar_type()), l1),
                  torch::lerp(batch.var, reference.var.to(batch.var.scalar_type()), l1)};
  if (options.variance() == VarianceBlend::kMixture) {
    blended.var = blended.var + (batch.mean - reference.mean).square() * (l1 * (1 - l1));
  }
  return blended;
}

Moments ReferenceBatchNormBase::stored_reference(const Moments& batch) const {
  if (reference_captured()) return {ref_mean, ref_var};
  // A moving reference starts from the first batch's own statistics.
  if (options.reference() == Reference::kMoving) return {batch.mean.detach(), batch.var.detach()};
  user_error(
      "{}({}): its reference was never captured; call capture_reference(model, batch) or train through a "
      "ReferenceKeeper",
      type_name_, options.num_features());
}

void ReferenceBatchNormBase::update_running(const Moments& blended, std::int64_t values) {
  const Tensor finite = all_finite(blended);
  num_batches_tracked.add_(finite);
  if (!options.momentum() && num_batches_tracked.item<std::int64_t>() == 0) return;
  const double rate = newest_weight(options.momentum(), num_batches_tracked);
  const double unbiased = values > 1 ? static_cast<double>(values) / static_cast<double>(values - 1) : 1.0;
  average_into(running_mean, blended.mean, rate, finite);
  average_into(running_var, blended.var * unbiased, rate, finite);
}

void ReferenceBatchNormBase::update_moving_reference(const Moments& batch) {
  const Tensor finite = all_finite(batch);
  num_ref_captures.add_(finite);
  const std::int64_t seen = num_ref_captures.item<std::int64_t>();
  if (seen == 0) return;
  const double rate = std::max(options.reference_momentum(), 1.0 / static_cast<double>(seen));
  average_into(ref_mean, batch.mean, rate, finite);
  average_into(ref_var, batch.var, rate, finite);
}

void ReferenceBatchNormBase::store_reference(const Moments& reference) {
  torch::NoGradGuard no_grad;
  const Tensor finite = all_finite(reference);
  average_into(ref_mean, reference.mean, 1.0, finite);
  average_into(ref_var, reference.var, 1.0, finite);
  num_ref_captures.add_(finite);
}

void ReferenceBatchNormBase::check_input(const Tensor& x) const {
  const bool right_axes = x.dim() == dims_ + 2 || (dims_ == 1 && x.dim() == 2);
  if (!right_axes || x.size(1) != options.num_features()) {
    user_error("{}: expected an input of {} with {} channels, got shape [{}]", type_name_,
               dims_ == 1 ? "2 or 3 axes" : fmt::format("{} axes", dims_ + 2), options.num_features(),
               fmt::join(x.sizes(), ", "));
  }
  if (!x.is_floating_point()) user_error("{}: expected floating-point values", type_name_);
}

void ReferenceBatchNormBase::pretty_print(std::ostream& stream) const {
  static constexpr const char* kNames[] = {"refreshed", "fixed", "live", "moving"};
  stream << fmt::format(
      "refnorm::{}({}, eps={}, momentum={}, affine={}", type_name_, options.num_features(), options.eps(),
      options.momentum() ? fmt::format("{}", *options.momentum()) : "cumulative", options.affine());
  if (has_reference()) {
    stream << fmt::format(
        ", reference={}, reference_weight={}", kNames[static_cast<int>(options.reference())],
        options.reference_weight() ? fmt::format("{}", *options.reference_weight()) : "1/(m+1)");
  }
  stream << ")";
}

}  // namespace refnorm
