#pragma once

#include <string>

#include <refnorm/data/epoch_sampler.h>

namespace refnorm::data {

/// Batches from one group each: every group's samples in a new random order, cut into whole batches, and the
/// batches of all groups in random order. What does not fill a batch of its group waits for another epoch.
class GroupSampler : public EpochSampler {
 public:
  /// `groups` has the group of each sample; `kind` is what errors call a group. Throws UserError where no
  /// group fills a batch.
  GroupSampler(const EpochTask& task, const Indices& groups, const std::string& kind);
  std::int64_t batches_per_epoch() const override { return batches_; }
  std::int64_t never_drawn() const override { return never_drawn_; }

 protected:
  Indices order(RandomStream& random) const override;

 private:
  std::vector<Indices> groups_;
  std::int64_t batches_ = 0, never_drawn_ = 0;
};

}  // namespace refnorm::data
