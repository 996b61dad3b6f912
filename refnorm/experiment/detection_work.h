#pragma once

#include <memory>
#include <optional>

#include <refnorm/experiment/detection_build.h>
#include <refnorm/experiment/detection_task.h>
#include <refnorm/experiment/unreadable.h>
#include <refnorm/experiment/work.h>

namespace refnorm::experiment {

/// A network that detects objects, and pictures with objects. Its `test_error_pct` is 100 − AP of boxes, so
/// that what compares errors compares it.
class DetectionWork : public Work {
 public:
  DetectionWork(const Recipe& recipe, std::shared_ptr<train::Group> group);

  train::Task& task() override { return task_; }
  train::TrainSettings settings() const override { return settings_; }
  Json setup() const override { return detection_setup(recipe_, assembly_.splits()); }
  void begin(const std::filesystem::path& folder) override;
  std::vector<std::string> first_words() const override;
  std::vector<std::string> news() override;
  std::string epoch_words(const train::RunState& state) const override;
  Json results(const train::Outcome& outcome, const std::filesystem::path& folder) override;
  void assist(const train::Outcome& outcome, const std::filesystem::path& folder) override;

 private:
  Recipe recipe_;
  DetectionAssembly assembly_;
  train::TrainSettings settings_;
  DetectionTask task_;
  std::optional<UnreadableLog> unreadable_;  ///< from begin() on
};

Outline outline_of_detection(const Recipe& recipe);

/// `detection` and `test_error_pct` of result.json: the figures of the test pictures by each of the
/// statistics that the norms have, or by `only` one. With a `folder`, detections.json is written there, by
/// the statistics that `test_error_pct` goes by.
Json detection_errors(DetectionAssembly& assembly, const Recipe& recipe,
                      const PopulationStatistics& population, const std::string& only,
                      const std::filesystem::path& folder);

/// Algorithm 3's statistics, as the recipe has them; empty where no norm goes by the statistics of batches.
PopulationStatistics collect_population(DetectionAssembly& assembly, const Recipe& recipe);

}  // namespace refnorm::experiment
