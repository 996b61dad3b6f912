#pragma once

#include <optional>

#include <refnorm/experiment/build.h>
#include <refnorm/experiment/unreadable.h>
#include <refnorm/experiment/work.h>
#include <refnorm/train/classification.h>

namespace refnorm::experiment {

/// A network that scores classes, and labelled pictures.
class ClassificationWork : public Work {
 public:
  ClassificationWork(const Recipe& recipe, std::shared_ptr<train::Group> group);

  train::Task& task() override { return task_; }
  train::TrainSettings settings() const override { return settings_; }
  Json setup() const override;
  void begin(const std::filesystem::path& folder) override;
  std::vector<std::string> first_words() const override;
  std::vector<std::string> news() override;
  std::string epoch_words(const train::RunState& state) const override;
  Json results(const train::Outcome& outcome, const std::filesystem::path& folder) override;
  void assist(const train::Outcome& outcome, const std::filesystem::path& folder) override;

 private:
  void put_skew(Json& result) const;

  Recipe recipe_;
  Assembly assembly_;
  train::TrainSettings settings_;
  train::Classification task_;
  std::optional<UnreadableLog> unreadable_;  ///< from begin() on
};

Outline outline_of_classification(const Recipe& recipe);

}  // namespace refnorm::experiment
