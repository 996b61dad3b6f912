#pragma once

#include <memory>

#include <refnorm/data/image_set.h>
#include <refnorm/data/sampler.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/models/classifier.h>
#include <refnorm/norms/capture.h>
#include <refnorm/train/evaluate.h>
#include <refnorm/train/network.h>
#include <refnorm/train/processes/group.h>

namespace refnorm::experiment {

/// Loads the recipe's data set, puts its samples into domains or groups, holds the validation samples out and
/// draws the training samples.
data::Splits load_splits(const Recipe& recipe);

/// Throws UserError where what the recipe wants measured cannot be.
void check_measures(const Recipe& recipe, const data::Splits& splits);

/// Where and how the recipe's network computes.
train::Compute compute_of(const Recipe& recipe);

/// Which batches make a step. Throws UserError where the data do not fill one.
data::StepPlan step_plan(const Recipe& recipe, const data::Sampler& sampler);

/// The file that training of the recipe's one arm starts from; empty: none.
std::string weights_of(const Recipe& recipe);

/// At least one.
std::int64_t core_count();

/// What draws the reference batch, as its first batch. Throws UserError where it cannot fill one.
std::unique_ptr<data::Sampler> reference_sampler(const data::ImageSet& train, const ReferenceSettings& how,
                                                 std::uint64_t seed);

/// The images of a reference batch: drawn at random, or the first batch of a sampler with a seed of its own.
/// `which`: others of the same seed. Throws UserError where the set cannot fill it.
torch::Tensor reference_batch(const data::ImageSet& train, const ReferenceSettings& how, std::uint64_t seed,
                              std::uint64_t which = 0);

/// Everything that a run works with, made from a recipe of one arm: weights drawn, reference batch chosen.
/// The seed has separate streams for the weights, the order of the data, the reference batch and what happens
/// in training. In the processes of a group all but the last is the same, and the reference batch where the
/// recipe gives each one of its own.
class Assembly {
 public:
  explicit Assembly(const Recipe& recipe, std::shared_ptr<train::Group> group = train::Group::alone());

  const data::Splits& splits() const { return splits_; }
  const train::Network& network() const { return network_; }
  data::Sampler& sampler() const { return *sampler_; }
  ReferenceKeeper& reference() { return *reference_; }
  const train::Compute& compute() const { return compute_; }
  const data::StepPlan& plan() const { return plan_; }
  const std::shared_ptr<train::Group>& group() const { return group_; }
  bool has_batch_statistics() const;

 private:
  std::shared_ptr<train::Group> group_;
  data::Splits splits_;
  train::Compute compute_;
  std::shared_ptr<models::Classifier> model_;
  train::Network network_;
  std::unique_ptr<data::Sampler> sampler_;
  data::StepPlan plan_;
  std::unique_ptr<ReferenceKeeper> reference_;
};

/// Threads of LibTorch and of the BLAS below it, device and generators as the recipe says.
/// `recipe.run.threads` 0 becomes as many as the network's steps are worth, one for small networks, and no
/// more than a process's share of the cores where `local_size` of them run on this machine. Throws UserError
/// where the device is not there.
void prepare_process(Recipe& recipe, std::int64_t local_size = 1);

/// What ran this: cpu, cores, threads_per_run, libtorch, instruction_set, refnorm.
Json machine_description(const Recipe& recipe);

/// What was run: model, data, sample counts, epochs, batch size, optimizer, sampler, reference; domains, the
/// number of groups and the samples that the sampler never draws, where there are any.
Json setup_description(const Recipe& recipe, const data::Splits& splits, const data::Sampler& sampler);

}  // namespace refnorm::experiment
