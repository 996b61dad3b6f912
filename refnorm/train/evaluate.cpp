#include <algorithm>

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <refnorm/data/loader.h>
#include <refnorm/metrics/classification.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/evaluate.h>
#include <refnorm/train/mode.h>

namespace refnorm::train {

std::int64_t evaluation_batch(const data::ImageSet& set) {
  return std::clamp<std::int64_t>(std::int64_t{1000} * 28 * 28 / (set.side() * set.side()), 32, 1000);
}

namespace {

metrics::Tally sum_of(const metrics::Tally& own, Group& group) {
  if (group.size() == 1) return own;
  torch::Tensor sums = torch::tensor(
      {static_cast<double>(own.samples), static_cast<double>(own.correct), own.loss_sum}, torch::kDouble);
  group.sum(sums);
  return {sums[0].item().to<std::int64_t>(), sums[1].item().to<std::int64_t>(), sums[2].item<double>(), {}};
}

}  // namespace

metrics::Tally evaluate(const Network& network, const data::ImageSet& set, std::int64_t batch_size,
                        Statistics statistics, const Compute& compute, const Watch& watch, Group& group) {
  const torch::NoGradGuard no_grad;
  const Mode mode(*network.module, /*training=*/false, statistics);
  metrics::Tally tally;
  data::Loader loader =
      data::evaluation_loader(set, set.size(), batch_size, compute.workers, share_of(group));
  while (const auto batch = loader.next()) {
    const torch::Tensor labels = batch->labels.to(compute.device);
    torch::Tensor scores;
    {
      const Bfloat16Scope precision(compute.bfloat16, compute.device);
      scores = network.forward(compute.place(batch->images)).to(torch::kFloat);
    }
    const double loss = torch::nn::functional::cross_entropy(scores, labels).item<double>();
    tally.add(labels.size(0), metrics::count_correct(scores, labels), loss);
    if (watch) watch(batch->indices, scores, labels);
  }
  return sum_of(tally, group);
}

SameData compare_modes(const Network& network, ReferenceKeeper& reference, data::Sampler& sampler,
                       const data::ImageSet& set, std::int64_t epoch, std::int64_t batches,
                       Statistics statistics, const Compute& compute) {
  const torch::NoGradGuard no_grad;
  const auto pass = [&](const auto& forward) {
    metrics::Tally tally;
    data::Loader loader = data::epoch_loader(set, sampler, epoch, batches, compute.workers);
    while (const auto batch = loader.next()) {
      const Bfloat16Scope precision(compute.bfloat16, compute.device);
      const torch::Tensor scores = forward(compute.place(batch->images)).to(torch::kFloat);
      const torch::Tensor labels = batch->labels.to(compute.device);
      const double loss = torch::nn::functional::cross_entropy(scores, labels).item<double>();
      tally.add(labels.size(0), metrics::count_correct(scores, labels), loss);
    }
    return tally;
  };
  SameData found;
  {
    const Mode mode(*network.module, /*training=*/false, statistics);
    found.in_evaluation = pass(network.forward);
  }
  const Mode mode(*network.module, /*training=*/true, Statistics::kByMode);
  found.in_training = pass([&](const torch::Tensor& images) { return reference.forward_only(images); });
  return found;
}

PopulationStatistics collect_population(const Network& network, ReferenceKeeper& reference,
                                        data::Sampler& sampler, const data::ImageSet& set, std::int64_t epoch,
                                        std::int64_t batches, const Compute& compute,
                                        const std::shared_ptr<Group>& group, bool joint) {
  const torch::NoGradGuard no_grad;
  const Mode mode(*network.module, /*training=*/true, Statistics::kByMode);
  const data::Share share = share_of(*group);
  // Joint statistics need a batch of everybody each time.
  if (joint)
    batches = std::max<std::int64_t>(1, std::min(batches, sampler.batches_per_epoch()) / share.of) * share.of;
  const ops::SynchronizeStatistics synchronize(joint ? joint_statistics_of(group)
                                                     : c10::intrusive_ptr<ops::JointStatistics>());
  {
    const Bfloat16Scope precision(compute.bfloat16, compute.device);
    reference.refresh();
  }
  PopulationPass pass(*network.module);
  data::Loader loader = data::epoch_loader(set, sampler, epoch, batches, compute.workers, share);
  while (const auto batch = loader.next()) {
    const Bfloat16Scope precision(compute.bfloat16, compute.device);
    reference.forward_only(compute.place(batch->images));
  }
  if (group->size() > 1) pass.join([&](const torch::Tensor& own) { return group->gather(own); });
  return pass.finish();
}

}  // namespace refnorm::train
