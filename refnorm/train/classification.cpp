#include <cmath>
#include <utility>

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <refnorm/metrics/classification.h>
#include <refnorm/ops/tap.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/classification.h>
#include <refnorm/train/evaluate.h>

namespace refnorm::train {
namespace {

using torch::Tensor;

bool all_finite(const Tensor& tensor) {
  return torch::isfinite(tensor).all().item<bool>();
}

}  // namespace

Pass ClassificationPass::run(const data::Batch& batch, bool first_of_step, StepClock& clock) {
  Pass done;
  const Tensor labels = batch.labels.to(compute_.device);
  Tensor scores;
  clock.enter(kReference);
  if (first_of_step) {
    // In a scope of its own: autocast keeps the weights that it has converted until the scope's end, and
    // those of a reference pass, which has no gradient, would leave the training pass without one.
    const Bfloat16Scope precision(compute_.bfloat16, compute_.device);
    reference_.prepare();
  }
  clock.enter(kForward);
  {
    const Bfloat16Scope precision(compute_.bfloat16, compute_.device);
    scores = reference_.forward_only(compute_.place(batch.images)).to(torch::kFloat);
  }
  clock.enter(kLoss);
  const Tensor loss = torch::nn::functional::cross_entropy(
      scores, labels, torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(label_smoothing_));
  const auto value = loss.item<double>();
  done.loss = loss;
  if (!std::isfinite(value)) {
    done.broken = locate(compute_.place(batch.images));
    return done;
  }
  done.tally.add(labels.size(0), metrics::count_correct(scores.detach(), labels), value);
  return done;
}

/// The weights are still those that gave the loss: runs the batch again and watches each layer.
std::string ClassificationPass::locate(const Tensor& images) {
  const torch::NoGradGuard no_grad;
  const ops::SynchronizeStatistics in_this_process_alone({});
  if (!all_finite(images)) return "input";
  std::optional<std::string> found;
  const ops::ObserveTaps observe([&](std::string_view layer, const Tensor& output) {
    if (!found && !all_finite(output)) found = layer;
  });
  const Bfloat16Scope precision(compute_.bfloat16, compute_.device);
  reference_.forward_only(images);
  return found.value_or("loss");
}

Classification::Classification(Network network, ReferenceKeeper& reference, TrainingData data,
                               const TrainSettings& settings, const Compute& compute,
                               std::shared_ptr<Group> group)
    : pass_(std::move(network), reference, settings.label_smoothing, compute),
      data_(data),
      group_(std::move(group)),
      label_skew_(data::labels_of(*data.train)),
      guessing_loss_(std::log(static_cast<double>(data.train->class_names().size()))) {
  if (data.train->grouping() != nullptr) group_skew_.emplace(data::groups_of(*data.train));
}

void Classification::begin(std::int64_t first, std::int64_t total) {
  pass_.reference().set_steps(first);
  const data::Share share = share_of(*group_);
  loader_.emplace(*data_.train, (total - first) * data_.plan.per_step / share.of,
                  data::training_plan(*data_.sampler, data_.plan, first, share), pass_.compute().workers);
}

Pass Classification::pass(bool first_of_step, StepClock& clock) {
  clock.enter(kData);
  const data::LoadedBatch batch = loader_->next().value();
  return pass_.run({batch.images, batch.labels, {}}, first_of_step, clock);
}

double Classification::validate(Json& line) {
  {
    const Bfloat16Scope precision(pass_.compute().bfloat16, pass_.compute().device);
    pass_.reference().prepare_evaluation();
  }
  const metrics::Tally tally =
      evaluate(pass_.network(), *data_.validation, evaluation_batch(*data_.validation), Statistics::kByMode,
               pass_.compute(), {}, *group_);
  line["validation_loss"] = tally.mean_loss();
  line["validation_error_pct"] = tally.error_pct();
  return tally.error_pct();
}

/// From the sampler and not from sums, so that a resumed run's lines need no state.
data::Skew Classification::skew(const data::LabelSkew& measure, std::int64_t first, std::int64_t last) const {
  data::Skew mean;
  const auto batches =
      static_cast<double>(data_.plan.batches_before(last) - data_.plan.batches_before(first));
  for (std::int64_t step = first; step < last; ++step) {
    for (std::int64_t which = 0; which < data_.plan.place(step).per_step; ++which) {
      const data::Skew one = measure.of(data_.plan.batch(*data_.sampler, step, which));
      mean.entropy += one.entropy / batches;
      mean.divergence += one.divergence / batches;
    }
  }
  return mean;
}

void Classification::describe_steps(const metrics::Tally& tally, std::int64_t first, std::int64_t last,
                                    Json& line) const {
  line["train_accuracy_pct"] = tally.accuracy_pct();
  const auto put_skew = [&](const std::string& of, const data::LabelSkew& measure) {
    const data::Skew found = skew(measure, first, last);
    line[of + "_entropy_bits"] = found.entropy;
    line[of + "_divergence_bits"] = found.divergence;
  };
  put_skew("label", label_skew_);
  if (group_skew_) put_skew("group", *group_skew_);
}

void Classification::describe_epoch(const metrics::Tally& tally, Json& line) const {
  line["train_error_pct"] = tally.error_pct();
}

}  // namespace refnorm::train
