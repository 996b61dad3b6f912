#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <refnorm/deploy/predictor.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/experiment/trained_run.h>
#include <refnorm/train/evaluate.h>

namespace refnorm::experiment {

/// What the recipe's one arm makes, as a file of it describes itself; none of the data set's files are
/// needed. `run` is its folder, where the names of an image folder's classes are kept.
deploy::ModelDescription describe_model(const Recipe& recipe, const std::filesystem::path& run);

/// A run folder's network at prediction.
class RunPredictor : public deploy::Predictor {
 public:
  /// Loads it, to go by population statistics where its norm has statistics of batches; `statistics`
  /// "running" or "population" insists. The data set is read only where something has to be made of it:
  /// population statistics of the best checkpoint or of an unfinished run, and virtual batch norm's
  /// reference. Throws UserError of one line.
  RunPredictor(const std::filesystem::path& run, const TrainedRequest& request,
               const std::string& statistics);

  const deploy::ModelDescription& description() const override { return description_; }
  std::vector<float> scores(const std::vector<float>& images, std::int64_t count) override;

 private:
  void load_weights(const std::filesystem::path& run, const TrainedRequest& request);
  void load_with_data(const std::filesystem::path& run, const TrainedRequest& request);

  Recipe recipe_;
  deploy::ModelDescription description_;
  train::Network network_;
  Statistics statistics_ = Statistics::kByMode;
  train::Compute compute_;
};

}  // namespace refnorm::experiment
