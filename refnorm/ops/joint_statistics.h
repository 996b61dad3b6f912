#pragma once

#include <cstdint>

#include <torch/custom_class.h>
#include <torch/types.h>

namespace refnorm::ops {

/// The exchange of statistics between processes that train one network on parts of one batch. All of them
/// call the same functions in the same order, with tensors of the same shapes.
class JointStatistics : public torch::CustomClassHolder {
 public:
  /// Puts the sum over all processes in the values' place.
  virtual void sum(torch::Tensor& values) = 0;
  /// The values of all processes, [processes, *].
  virtual torch::Tensor gather(const torch::Tensor& own) = 0;
};

/// While it lives, in this thread, batches are normalized by the statistics of the joint batch of all
/// processes (Partition::kBatch); so are their gradients, whenever they are computed.
class SynchronizeStatistics {
 public:
  /// Null: by those of this process.
  explicit SynchronizeStatistics(c10::intrusive_ptr<JointStatistics> processes);
  ~SynchronizeStatistics();
  SynchronizeStatistics(const SynchronizeStatistics&) = delete;
  SynchronizeStatistics& operator=(const SynchronizeStatistics&) = delete;

 private:
  c10::intrusive_ptr<JointStatistics> before_;
};

/// What is installed in this thread; null: nothing.
const c10::intrusive_ptr<JointStatistics>& joint_statistics();

/// Samples of a batch, and values that each channel has in them: of the joint batch where statistics are
/// synchronized.
struct BatchSize {
  std::int64_t samples = 0, values = 0;
  bool joint = false;
};
/// All processes together where this one has `samples` of so many positions; an exchange of its own where
/// statistics are synchronized.
BatchSize batch_size_of(std::int64_t samples, std::int64_t positions);

}  // namespace refnorm::ops
