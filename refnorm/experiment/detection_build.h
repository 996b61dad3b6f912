#pragma once

#include <memory>
#include <string>
#include <vector>

#include <refnorm/data/detection_set.h>
#include <refnorm/data/sampler.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/experiment/unreadable.h>
#include <refnorm/models/mask_rcnn/mask_rcnn.h>
#include <refnorm/norms/capture.h>
#include <refnorm/train/compute.h>
#include <refnorm/train/processes/group.h>

namespace refnorm::experiment {

struct DetectorKind {
  std::string name, what, source;
  std::int64_t depth = 0;  ///< of the ResNet
};

std::vector<DetectorKind> detector_kinds();

/// Whether the recipe's network detects objects, rather than scores classes.
bool is_detection(const Recipe& recipe);

struct DetectionSplits {
  std::shared_ptr<const data::DetectionSet> train;
  std::shared_ptr<const data::DetectionSet> validation;  ///< null where no pictures are held out
  std::shared_ptr<const data::DetectionSet> test;
};

/// Reads the recipe's annotations and holds the validation pictures out, the same for every seed. Throws
/// UserError where files are missing or wrong, and for values that do not go together.
DetectionSplits load_detection_splits(const Recipe& recipe);

PictureSources sources_of(const DetectionSplits& splits);

/// The set alone whose pictures are `val`'s.
std::shared_ptr<const data::DetectionSet> load_detection_test(const Recipe& recipe);

/// The recipe's network. Throws UserError for a norm or a number that it cannot have.
models::MaskRcnn make_detector(const Recipe& recipe, std::int64_t classes);

std::unique_ptr<data::Sampler> detection_sampler(const Recipe& recipe, const data::DetectionSet& train);

/// A detector as a run works with it: weights drawn, or loaded, and reference pictures chosen.
class DetectionAssembly {
 public:
  DetectionAssembly(const Recipe& recipe, std::shared_ptr<train::Group> group = train::Group::alone());

  const DetectionSplits& splits() const { return splits_; }
  models::MaskRcnn& model() { return model_; }
  data::Sampler& sampler() const { return *sampler_; }
  ReferenceKeeper& reference() { return *reference_; }
  const train::Compute& compute() const { return compute_; }
  const data::StepPlan& plan() const { return plan_; }
  const std::shared_ptr<train::Group>& group() const { return group_; }
  /// Whether some norm goes by the statistics of batches.
  bool has_batch_statistics();

 private:
  std::shared_ptr<train::Group> group_;
  DetectionSplits splits_;
  train::Compute compute_;
  models::MaskRcnn model_{nullptr};
  std::unique_ptr<data::Sampler> sampler_;
  data::StepPlan plan_;
  std::unique_ptr<ReferenceKeeper> reference_;
};

/// `setup` of result.json.
Json detection_setup(const Recipe& recipe, const DetectionSplits& splits);

}  // namespace refnorm::experiment
