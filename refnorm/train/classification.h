#pragma once

#include <cstdint>
#include <optional>

#include <refnorm/data/image_set.h>
#include <refnorm/data/label_skew.h>
#include <refnorm/data/loader.h>
#include <refnorm/data/sampler.h>
#include <refnorm/norms/capture.h>
#include <refnorm/train/compute.h>
#include <refnorm/train/network.h>
#include <refnorm/train/processes/group.h>
#include <refnorm/train/settings.h>
#include <refnorm/train/task.h>

namespace refnorm::train {

/// The cross entropy of a network's scores on labelled pictures.
class ClassificationPass {
 public:
  ClassificationPass(Network network, ReferenceKeeper& reference, double label_smoothing,
                     const Compute& compute)
      : network_(std::move(network)),
        reference_(reference),
        label_smoothing_(label_smoothing),
        compute_(compute) {}

  /// The reference is taken anew before the first batch of a step where it is due: between the batches of a
  /// step, the weights stay the same.
  Pass run(const data::Batch& batch, bool first_of_step, StepClock& clock);

  const Network& network() const { return network_; }
  ReferenceKeeper& reference() { return reference_; }
  const Compute& compute() const { return compute_; }

 private:
  std::string locate(const torch::Tensor& images);

  Network network_;
  ReferenceKeeper& reference_;
  double label_smoothing_;
  Compute compute_;
};

/// What a classifier trains on. All must outlive the task.
struct TrainingData {
  const data::ImageSet* train = nullptr;
  const data::ImageSet* validation = nullptr;  ///< may be empty
  data::Sampler* sampler = nullptr;
  data::StepPlan plan;
};

class Classification : public Task {
 public:
  Classification(Network network, ReferenceKeeper& reference, TrainingData data,
                 const TrainSettings& settings, const Compute& compute,
                 std::shared_ptr<Group> group = Group::alone());

  torch::nn::Module& module() override { return *pass_.network().module; }
  const data::StepPlan& plan() const override { return data_.plan; }
  void go_on(const data::StepPlan& plan) override { data_.plan = plan; }
  void begin(std::int64_t first, std::int64_t total) override;
  void end() override { loader_.reset(); }
  Pass pass(bool first_of_step, StepClock& clock) override;
  double guessing_loss() const override { return guessing_loss_; }
  bool validates() const override { return data_.validation->size() > 0; }
  double validate(Json& line) override;
  void describe_steps(const metrics::Tally& tally, std::int64_t first, std::int64_t last,
                      Json& line) const override;
  void describe_epoch(const metrics::Tally& tally, Json& line) const override;

 private:
  /// The mean over the batches of these steps.
  data::Skew skew(const data::LabelSkew& measure, std::int64_t first, std::int64_t last) const;

  ClassificationPass pass_;
  TrainingData data_;
  std::shared_ptr<Group> group_;
  data::LabelSkew label_skew_;
  std::optional<data::LabelSkew> group_skew_;  ///< where the training set has groups
  double guessing_loss_;                       ///< of knowing the classes' number only
  std::optional<data::Loader> loader_;         ///< from begin() to end()
};

}  // namespace refnorm::train
