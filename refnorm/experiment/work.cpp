#include <refnorm/experiment/classification_work.h>
#include <refnorm/experiment/work.h>

namespace refnorm::experiment {

std::unique_ptr<Work> make_work(const Recipe& recipe, std::shared_ptr<train::Group> group) {
  return std::make_unique<ClassificationWork>(recipe, std::move(group));
}

Outline outline(const Recipe& recipe) {
  return outline_of_classification(recipe);
}

}  // namespace refnorm::experiment
