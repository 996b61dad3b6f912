#include <refnorm/experiment/classification_work.h>
#include <refnorm/experiment/detection_work.h>
#include <refnorm/experiment/work.h>

namespace refnorm::experiment {

train::TrainSettings settings_of(const Recipe& recipe, std::int64_t steps_per_epoch) {
  train::TrainSettings settings = recipe.train;
  settings.lr = recipe.arms.at(0).lr.value_or(settings.lr);
  settings.validate_every = recipe.measure.every.of(recipe.train.epochs * steps_per_epoch);
  settings.target = recipe.measure.target;
  return settings;
}

std::unique_ptr<Work> make_work(const Recipe& recipe, std::shared_ptr<train::Group> group) {
  if (is_detection(recipe)) return std::make_unique<DetectionWork>(recipe, std::move(group));
  return std::make_unique<ClassificationWork>(recipe, std::move(group));
}

Outline outline(const Recipe& recipe) {
  return is_detection(recipe) ? outline_of_detection(recipe) : outline_of_classification(recipe);
}

}  // namespace refnorm::experiment
