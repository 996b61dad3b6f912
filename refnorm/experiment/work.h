#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/experiment/recipe.h>
#include <refnorm/train/task.h>
#include <refnorm/train/trainer.h>

namespace refnorm::experiment {

/// What a recipe of one arm makes: a task that is ready to be trained, and what is measured of it afterwards.
/// The run around it (folder, checkpoints, progress, resuming) is the same for every kind.
class Work {
 public:
  virtual ~Work() = default;

  virtual train::Task& task() = 0;
  /// The recipe's, with the arm's own learning rate and what is measured on the way.
  virtual train::TrainSettings settings() const = 0;
  /// `setup` of result.json (docs/files.md).
  virtual Json setup() const = 0;

  /// Before the first step: writes what a run of this kind has beside config.toml.
  virtual void begin(const std::filesystem::path& folder) = 0;
  /// What to say at the start of training, a line each.
  virtual std::vector<std::string> first_words() const { return {}; }
  /// What has come up since the last call, such as a picture that cannot be read.
  virtual std::vector<std::string> news() { return {}; }
  /// "train error 1.00 %": of the epoch that has just ended.
  virtual std::string epoch_words(const train::RunState& state) const = 0;

  /// The fields of result.json that say what training found; for a run that diverged, those that can be said.
  /// Writes what is kept of it beside. The network's weights may be others afterwards.
  virtual Json results(const train::Outcome& outcome, const std::filesystem::path& folder) = 0;
  /// In the other processes of a group, while the first one is at results(): what it needs of all of them.
  virtual void assist(const train::Outcome& outcome, const std::filesystem::path& folder) = 0;
};

/// [train] of a recipe of one arm, with the arm's own learning rate and what is measured on the way.
train::TrainSettings settings_of(const Recipe& recipe, std::int64_t steps_per_epoch);

/// Loads the data and makes the network. Throws UserError where data, network and norm do not go together.
std::unique_ptr<Work> make_work(const Recipe& recipe,
                                std::shared_ptr<train::Group> group = train::Group::alone());

/// What is known of a recipe's runs before any of its arms is trained.
struct Outline {
  Json setup;              ///< as Work::setup()
  std::int64_t steps = 0;  ///< of a run
};

/// Throws UserError where an arm's norm does not fit the network, or reference, sampler or measures the data.
Outline outline(const Recipe& recipe);

}  // namespace refnorm::experiment
