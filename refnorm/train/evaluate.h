#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <refnorm/data/image_set.h>
#include <refnorm/data/sampler.h>
#include <refnorm/metrics/tally.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/population.h>
#include <refnorm/train/compute.h>
#include <refnorm/train/network.h>
#include <refnorm/train/processes/group.h>

namespace refnorm::train {

/// Samples that are evaluated at once: as many as take the memory of 1000 pictures of 28x28, at least 32.
std::int64_t evaluation_batch(const data::ImageSet& set);

/// Sees each batch that is evaluated: places in the set, scores and labels.
using Watch = std::function<void(std::span<const std::int64_t> indices, const torch::Tensor& scores,
                                 const torch::Tensor& labels)>;

/// Loss and accuracy over a whole set but for what cannot be read of it, in eval(), each layer by
/// `statistics` (kByMode: the running ones). With batch statistics the batches are the set's samples in
/// order, `batch_size` at a time. The mode and the switches are put back. `watch` may be empty, and sees what
/// this process evaluates of batches that a group shares.
metrics::Tally evaluate(const Network& network, const data::ImageSet& set, std::int64_t batch_size,
                        Statistics statistics, const Compute& compute, const Watch& watch = {},
                        Group& group = alone());

/// Error on the same samples, those of the first `batches` batches of an epoch of the sampler: as training
/// sees them, in train() and with these batches' statistics, and in eval() with `statistics`.
struct SameData {
  metrics::Tally in_training, in_evaluation;
};
/// Running statistics move with it, as in training.
SameData compare_modes(const Network& network, ReferenceKeeper& reference, data::Sampler& sampler,
                       const data::ImageSet& set, std::int64_t epoch, std::int64_t batches,
                       Statistics statistics, const Compute& compute);

/// Algorithm 3's pass over the first `batches` batches of the sampler's epoch `epoch`, in training mode; a
/// refreshed reference is taken anew first. The processes of a group share the batches, and each gets the
/// statistics of all; with `joint`, as many of them as the group has normalize each other's, as in training.
PopulationStatistics collect_population(const Network& network, ReferenceKeeper& reference,
                                        data::Sampler& sampler, const data::ImageSet& set, std::int64_t epoch,
                                        std::int64_t batches, const Compute& compute,
                                        const std::shared_ptr<Group>& group = Group::alone(),
                                        bool joint = false);

}  // namespace refnorm::train
