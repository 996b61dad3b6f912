#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <refnorm/data/coco_results.h>
#include <refnorm/experiment/detection_work.h>
#include <refnorm/experiment/trained_run.h>

namespace refnorm::experiment {

/// A run of a network that detects objects, with its data.
struct TrainedDetector {
  Recipe recipe;
  std::unique_ptr<DetectionAssembly> assembly;
  std::string checkpoint;
};

/// Throws UserError where the folder holds no run or no such checkpoint, or a file of it is damaged.
TrainedDetector load_trained_detector(const std::filesystem::path& folder, const TrainedRequest& request);

/// As evaluate_run(): `detection` and `test_error_pct` of result.json, made again.
Json evaluate_detector(const std::filesystem::path& folder, const TrainedRequest& request,
                       const std::string& statistics);

/// A run's network at work on pictures. None of the data set's files are needed.
class DetectionPredictor {
 public:
  /// It goes by population statistics where its norms have statistics of batches; `statistics` "running" or
  /// "population" insists. Throws UserError of one line.
  DetectionPredictor(const std::filesystem::path& run, const TrainedRequest& request,
                     const std::string& statistics);

  /// What is in a picture, by falling score. Throws UserError where it cannot be read.
  std::vector<data::CocoDetection> detect(const std::filesystem::path& picture, std::int64_t image_id);

  /// The name of a category id.
  const std::string& name(std::int64_t category_id) const { return names_.at(category_id); }

 private:
  Recipe recipe_;
  std::vector<std::int64_t> ids_;
  std::map<std::int64_t, std::string> names_;
  models::MaskRcnn model_{nullptr};
  Statistics statistics_ = Statistics::kByMode;
  train::Compute compute_;
};

}  // namespace refnorm::experiment
