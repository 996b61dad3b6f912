#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <refnorm/experiment/build.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/norms/population.h>

namespace refnorm::experiment {

/// What of a run folder is wanted.
struct TrainedRequest {
  std::string checkpoint = "last";  ///< or "best"
  std::string data_path;            ///< empty: the run's own
  std::int64_t threads = 0;         ///< 0: the run's
  std::string device;               ///< empty: the run's
};

/// A run's network as it was trained, with its data.
struct TrainedRun {
  Recipe recipe;
  std::unique_ptr<Assembly> assembly;

  /// The stored ones for the last checkpoint, else collected anew; empty for norms without batch statistics.
  PopulationStatistics population() const;

  std::filesystem::path folder;
  std::string checkpoint;
};

/// Whether the folder holds a run of a network that detects objects. Throws UserError where it holds no run.
bool is_detection_run(const std::filesystem::path& folder);

/// The recipe of a run folder as the request changes it, with this process made ready to compute by it.
/// Throws UserError where the folder holds no run or no such checkpoint.
Recipe open_run(const std::filesystem::path& folder, const TrainedRequest& request);

/// What training left of Algorithm 3's statistics: empty where it left none, or not for that checkpoint.
/// Throws UserError where the file does not fit the model.
PopulationStatistics stored_population(const std::filesystem::path& folder, const std::string& checkpoint,
                                       torch::nn::Module& model);

/// Throws UserError where the folder holds no run or no such checkpoint, or a file of it is damaged.
TrainedRun load_trained(const std::filesystem::path& folder, const TrainedRequest& request);

}  // namespace refnorm::experiment
