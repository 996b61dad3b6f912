#include <algorithm>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/norm_registry.h>
#include <refnorm/norms/reference_batch_norm.h>

namespace refnorm {

using ops::NormalizeBy;
using ops::SetMoments;
using torch::Tensor;

ReferenceBatchNormBase::ReferenceBatchNormBase(const ReferenceBatchNormOptions& given, int dims,
                                               const char* name)
    : BatchStatisticsLayer({name, dims, given.num_features(), given.eps(), given.affine()}, given.momentum()),
      options(given) {
  if (options.refresh_every() < 1)
    user_error("{}: refresh_every is {}, expected at least 1", type_name(), options.refresh_every());
  const auto in_unit_interval = [&](const char* what, const std::optional<double>& value) {
    if (value && !(*value >= 0 && *value <= 1))
      user_error("{}: {} is {}, expected 0 to 1", type_name(), what, *value);
  };
  in_unit_interval("reference_weight", options.reference_weight());
  in_unit_interval("reference_momentum", options.reference_momentum());
}

BatchNormBase::BatchNormBase(const BatchNormOptions& given, int dims)
    : ReferenceBatchNormBase(ReferenceBatchNormOptions(given.num_features())
                                 .eps(given.eps())
                                 .momentum(given.momentum())
                                 .affine(given.affine())
                                 .reference_weight(0.0),
                             dims, "BatchNorm") {}

void ReferenceBatchNormBase::register_state() {
  BatchStatisticsLayer::register_state();
  if (has_reference()) register_reference(*this, channels());
}

void ReferenceBatchNormBase::reset_parameters() {
  BatchStatisticsLayer::reset_parameters();
  reset_reference();
}

Tensor ReferenceBatchNormBase::compute(const Tensor& x, const ops::Then& then) {
  return capturing_ && !frozen() ? compute_capture(x, then) : BatchStatisticsLayer::compute(x, then);
}

Tensor ReferenceBatchNormBase::compute_capture(const Tensor& x, const ops::Then& then) {
  NormalizeBy by;
  by.sets = {{x.size(0), 1}};
  const auto out = apply(x, by, then);
  // A moving reference is the layer's own; the batch only passes through.
  if (has_reference() && options.reference() != Reference::kMoving) {
    store_reference(out.sources[0].mean.flatten(), out.sources[0].var.flatten());
  }
  return out.y;
}

Tensor ReferenceBatchNormBase::compute_by_batch(const Tensor& x, const ops::Then& then) {
  const bool live = options.reference() == Reference::kLive && has_reference();
  if (live && reference_rows_ > 0) return compute_live(x, then);
  if (live && is_training()) {
    user_error(
        "{}: a live reference needs its samples in front of the batch; call the model through "
        "ReferenceKeeper::forward",
        type_name());
  }
  return compute_blended(x, then);
}

/// The weights of the batch and of the reference, in that order; the latter.
double ReferenceBatchNormBase::set_weights(NormalizeBy& by) const {
  const double l1 = options.reference_weight().value_or(1.0 / static_cast<double>(by.batch.samples + 1));
  by.mean_weights = by.var_weights = torch::tensor({1 - l1, l1}, torch::dtype(torch::kDouble));
  by.mixture = options.variance() == VarianceBlend::kMixture;
  return l1;
}

Tensor ReferenceBatchNormBase::compute_blended(const Tensor& x, const ops::Then& then) {
  NormalizeBy by = by_batch(x, x.size(0));
  const std::int64_t values = by.batch.values;
  if (!has_reference()) require_values(values, x, "a channel in training");
  // A moving reference starts from the first batch's own statistics.
  const bool first_of_moving = options.reference() == Reference::kMoving && !reference_captured();
  if (!has_reference() || first_of_moving) {
    const auto out = apply(x, by, then);
    record(plain_observation(out.sources[0], values));
    if (has_reference()) update_moving_reference(out.sources[0]);
    return out.y;
  }
  if (!reference_captured()) {
    user_error(
        "{}({}): its reference was never captured; call capture_reference(model, batch) or train through a "
        "ReferenceKeeper",
        type_name(), channels());
  }
  by.stored_mean = ref_mean;
  by.stored_var = ref_var;
  const double l1 = set_weights(by);
  const auto out = apply(x, by, then);
  record_blend(out.sources[0], {ref_mean, ref_var}, l1, values);
  if (options.reference() == Reference::kMoving) update_moving_reference(out.sources[0]);
  return out.y;
}

/// Algorithm 2 to the letter: x begins with the reference's samples, which are normalized by their own
/// statistics.
Tensor ReferenceBatchNormBase::compute_live(const Tensor& x, const ops::Then& then) {
  const std::int64_t rows = reference_rows_;
  const std::int64_t samples = x.size(0) - rows;
  if (samples < 0) {
    user_error("{}: {} samples arrived, expected {} of the reference in front of the batch", type_name(),
               x.size(0), rows);
  }
  NormalizeBy by;
  if (samples == 0) {
    by.sets = {{rows, 1}};
    return apply(x, by, then).y;
  }
  by = by_batch(x, samples);
  by.reference_rows = rows;
  const double l1 = set_weights(by);
  const auto out = apply(x, by, then);
  const auto& [batch, reference] = std::tie(out.sources[0], out.sources[1]);
  if (updating()) store_reference(reference.mean.flatten(), reference.var.flatten());
  record_blend(batch, reference, l1, by.batch.values);
  return out.y;
}

void ReferenceBatchNormBase::record_blend(const SetMoments& batch, const SetMoments& reference, double l1,
                                          std::int64_t values) {
  BatchObservation seen = plain_observation(batch, values);
  const Tensor ref_mean_now = reference.mean.flatten().to(seen.raw_mean.scalar_type());
  seen.blended_mean = torch::lerp(seen.raw_mean, ref_mean_now, l1);
  seen.blended_var = torch::lerp(seen.raw_var, reference.var.flatten().to(seen.raw_var.scalar_type()), l1);
  if (options.variance() == VarianceBlend::kMixture) {
    seen.blended_var += (seen.raw_mean - ref_mean_now).square() * (l1 * (1 - l1));
  }
  record(seen);
}

void ReferenceBatchNormBase::update_moving_reference(const SetMoments& batch) {
  if (!updating()) return;
  const auto seen = static_cast<double>(num_ref_captures.item<std::int64_t>());
  const double rate = std::max(options.reference_momentum(), 1 / (seen + 1));
  if (average_into(ref_mean, ref_var, batch.mean.flatten(), batch.var.flatten(), rate)) {
    num_ref_captures.add_(1);
  }
}

std::string ReferenceBatchNormBase::more_options() const {
  static constexpr const char* kNames[] = {"refreshed", "fixed", "live", "moving"};
  std::string text = fmt::format(", momentum={}",
                                 options.momentum() ? fmt::format("{}", *options.momentum()) : "cumulative");
  if (has_reference()) {
    text +=
        fmt::format(", reference={}, reference_weight={}", kNames[static_cast<int>(options.reference())],
                    options.reference_weight() ? fmt::format("{}", *options.reference_weight()) : "1/(m+1)");
  }
  return text;
}

NormEntry batch_norm_entry() {
  return {{"bn", "batch normalization",
           "y = weight · (x − mu_B) / sqrt(var_B + eps) + bias; mu_B, var_B over the batch and all positions "
           "of a channel",
           "Ioffe & Szegedy 2015; Algorithm 1", running_options()},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            BatchNormOptions options(channels);
            read_affine(reader, options);
            read_running(reader, options);
            return made<BatchNormBase>(reader, options, dims);
          }};
}

NormEntry reference_batch_norm_entry() {
  std::vector<NormOption> options{
      {"refreshed", "the reference batch's statistics are taken again with the current weights (default)"},
      {"fixed", "they are taken once, before training: section 3 of the paper to the letter"},
      {"live", "the reference batch goes through the network beside every batch: Algorithm 2 to the letter"},
      {"moving", "no reference batch: moving averages of the layer's own statistics (a control)"},
      {"every=K", "steps between two captures of a refreshed reference (10)"},
      {"weight=W",
       "the reference's weight lambda_1, 0 to 1, or `paper`: 1/(m+1), m the samples in the batch (0.3)"},
      {"variance=linear|mixture", "eq. 16 as printed, or the variance of the blended distribution (linear)"},
      {"ref_momentum=M", "weight of the newest batch in a moving reference (0.01)"},
  };
  return {{"rbn", "reference batch normalization",
           "as bn, by mu' = (1 − w)·mu_B + w·mu_ref, var' = (1 − w)·var_B + w·var_ref, w = 0.3",
           "the paper's Algorithm 2, eq. 11-16", running_options(std::move(options))},
          [](OptionReader& reader, std::int64_t channels, int dims) {
            ReferenceBatchNormOptions given(channels);
            read_affine(reader, given);
            read_running(reader, given);
            if (const auto policy = reader.word({"refreshed", "fixed", "live", "moving"})) {
              given.reference(*policy == "fixed"    ? Reference::kFixed
                              : *policy == "live"   ? Reference::kLive
                              : *policy == "moving" ? Reference::kMoving
                                                    : Reference::kRefreshed);
            }
            if (const auto every = reader.count("every", 1)) given.refresh_every(*every);
            if (const auto weight = reader.number_or("paper", "weight", 0, 1))
              given.reference_weight(*weight);
            if (reader.text("variance", {"linear", "mixture"}) == "mixture")
              given.variance(VarianceBlend::kMixture);
            if (const auto momentum = reader.number("ref_momentum", 0, 1))
              given.reference_momentum(*momentum);
            return made<ReferenceBatchNormBase>(reader, given, dims);
          }};
}

}  // namespace refnorm
