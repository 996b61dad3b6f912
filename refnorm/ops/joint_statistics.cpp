#include <utility>

#include <torch/types.h>

#include <refnorm/ops/joint_statistics.h>

namespace refnorm::ops {
namespace {

thread_local c10::intrusive_ptr<JointStatistics> installed;

}  // namespace

SynchronizeStatistics::SynchronizeStatistics(c10::intrusive_ptr<JointStatistics> processes)
    : before_(std::exchange(installed, std::move(processes))) {}

SynchronizeStatistics::~SynchronizeStatistics() {
  installed = std::move(before_);
}

const c10::intrusive_ptr<JointStatistics>& joint_statistics() {
  return installed;
}

BatchSize batch_size_of(std::int64_t samples, std::int64_t positions) {
  if (installed == nullptr) return {samples, samples * positions, false};
  torch::Tensor counts = torch::tensor({samples, samples * positions}, torch::kLong);
  installed->sum(counts);
  return {counts[0].item<std::int64_t>(), counts[1].item<std::int64_t>(), true};
}

}  // namespace refnorm::ops
