#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace refnorm::data {

class ImageSet;

/// Decides which samples form a batch. A batch depends only on the seed, the epoch and its place, so that a
/// run that goes on from a checkpoint sees the batches that it would have seen.
class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual std::int64_t batches_per_epoch() const = 0;
  /// Indices into the training set.
  virtual std::vector<std::int64_t> batch(std::int64_t epoch, std::int64_t place) = 0;
  /// Samples that no epoch uses, such as those of a group that is smaller than a batch.
  virtual std::int64_t never_drawn() const { return 0; }
};

/// Which batches of a sampler make each step of training: `per_step` of them, one behind the other. What is
/// over at the end of an epoch is left out.
struct StepPlan {
  std::int64_t batches_per_epoch = 1;
  std::int64_t per_step = 1;
  /// A run that goes on with another number of batches a step than it began with does so from where it
  /// stands: these numbers hold from step `step` on, which begins with batch `batch` of the epoch `epoch`.
  /// Empty: one number from the beginning to the end; else the first one is of step 0, and the last one has
  /// `per_step`.
  struct Change {
    std::int64_t step = 0, epoch = 0, batch = 0, per_step = 1;
    bool operator==(const Change&) const = default;
  };
  std::vector<Change> changes{};

  std::int64_t steps_per_epoch() const { return batches_per_epoch / per_step; }
  /// Steps until so many epochs are over.
  std::int64_t steps(std::int64_t epochs) const;
  struct Place {
    std::int64_t epoch = 0;
    std::int64_t batch = 0;     ///< the first of the step's, in its epoch
    std::int64_t per_step = 1;  ///< batches of the step
  };
  Place place(std::int64_t step) const;
  std::int64_t epoch(std::int64_t step) const { return place(step).epoch; }
  /// Whether an epoch is over when so many steps are done.
  bool ends_epoch(std::int64_t steps_done) const {
    return steps_done > 0 && epoch(steps_done) != epoch(steps_done - 1);
  }
  /// Batches of the steps before this one.
  std::int64_t batches_before(std::int64_t step) const;
  /// The step that a run would be at here that had always had the present number of batches a step.
  std::int64_t as_if_unchanged(std::int64_t step) const;
  /// From step `step` on with another number.
  void change(std::int64_t step, std::int64_t batches_a_step);

  /// The batch of number `which` of a step (from 0).
  std::vector<std::int64_t> batch(Sampler& sampler, std::int64_t step, std::int64_t which) const {
    const Place at = place(step);
    return sampler.batch(at.epoch, at.batch + which);
  }

 private:
  Change change_before(std::int64_t step) const;
};

/// What samplers look at: the label of each sample, and its group where the set has groups.
struct SampleKeys {
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> groups;
  std::string grouping;  ///< Grouping::kind; empty where there are no groups
};

SampleKeys keys_of(const ImageSet& set);

struct SamplerKind {
  std::string name;  ///< as a recipe has it, such as "iid" or "pk:P"
  std::string what;
};

std::vector<SamplerKind> sampler_kinds();

/// `spec` is a kind with its value, such as "iid", "pk:4" or "dirichlet:0.1"; Throws UserError for an
/// unknown kind, a value out of range, a batch that the kind or the set cannot fill, and "domain" or "group"
/// where the set has no such groups.
std::unique_ptr<Sampler> make_sampler(const std::string& spec, SampleKeys keys, std::int64_t batch_size,
                                      std::uint64_t seed);

}  // namespace refnorm::data
