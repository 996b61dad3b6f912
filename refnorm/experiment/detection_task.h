#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <refnorm/data/coco_results.h>
#include <refnorm/data/detection_loader.h>
#include <refnorm/metrics/coco.h>
#include <refnorm/models/mask_rcnn/mask_rcnn.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/population.h>
#include <refnorm/train/compute.h>
#include <refnorm/train/processes/group.h>
#include <refnorm/train/task.h>

namespace refnorm::experiment {

/// What a detector trains on. All must outlive the task.
struct DetectionData {
  const data::DetectionSet* train = nullptr;
  const data::DetectionSet* validation = nullptr;  ///< null: none
  data::Sampler* sampler = nullptr;
  data::StepPlan plan;
};

/// Mask R-CNN's losses on pictures with objects; which anchors and regions are learned from is drawn from a
/// stream of its own for each batch. Validation's error is 100 % − AP of boxes.
class DetectionTask : public train::Task {
 public:
  DetectionTask(models::MaskRcnn model, ReferenceKeeper& reference, DetectionData data, std::uint64_t seed,
                const train::Compute& compute, std::shared_ptr<train::Group> group);

  torch::nn::Module& module() override { return *model_; }
  const data::StepPlan& plan() const override { return data_.plan; }
  void go_on(const data::StepPlan& plan) override { data_.plan = plan; }
  void begin(std::int64_t first, std::int64_t total) override;
  void end() override { loader_.reset(); }
  train::Pass pass(bool first_of_step, train::StepClock& clock) override;
  bool validates() const override { return data_.validation != nullptr; }
  double validate(Json& line) override;
  void describe_steps(const metrics::Tally& tally, std::int64_t first, std::int64_t last,
                      Json& line) const override;
  void describe_epoch(const metrics::Tally& tally, Json& line) const override;

 private:
  std::uint64_t next_batch();

  models::MaskRcnn model_;
  ReferenceKeeper& reference_;
  DetectionData data_;
  std::uint64_t seed_;
  train::Compute compute_;
  std::optional<data::DetectionLoader> loader_;  ///< from begin() to end()
  std::int64_t first_ = 0, passes_ = 0;          ///< the first step, and passes since
  std::shared_ptr<train::Group> group_;
};

/// The pictures' own sizes in their batch.
std::vector<ops::PictureSize> sizes_of(const data::DetectionBatch& batch);

/// As the network's losses take them.
std::vector<models::Target> targets_of(const data::DetectionBatch& batch);

/// What the network finds in all pictures of the set, in their own coordinates; each layer by `statistics`.
/// All processes of the group look, each at its share, and have all of it.
std::vector<data::CocoDetection> detect_all(models::MaskRcnn model, const data::DetectionSet& set,
                                            Statistics statistics, const train::Compute& compute,
                                            train::Group& group = train::alone());

/// Box and mask figures of these detections: {"bbox": {"AP": …}, "segm": {…}}, shares of 1, −1 where there is
/// nothing. Pictures that were found unreadable do not count.
Json detection_figures(const data::DetectionSet& set, const std::vector<data::CocoDetection>& detections,
                       std::int64_t threads);

/// Algorithm 3's pass over the first `batches` batches of the sampler's epoch `epoch`, with the regions that
/// training would draw; a refreshed reference is taken anew first. All processes of the group share it.
PopulationStatistics collect_detection_population(models::MaskRcnn model, ReferenceKeeper& reference,
                                                  const DetectionData& data, std::int64_t epoch,
                                                  std::int64_t batches, std::uint64_t seed,
                                                  const train::Compute& compute, train::Group& group);

}  // namespace refnorm::experiment
