#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <refnorm/data/image_set.h>
#include <refnorm/experiment/recipe.h>

namespace refnorm::experiment {

/// What a network takes of the recipe's pictures; known without their files.
struct PictureShape {
  std::int64_t channels, side;
  double centre = 1;  ///< deploy::ModelDescription::centre
};
PictureShape picture_shape(const DataSettings& data);

/// Of a run on those data, without their files: class names of image folders are in RUN/classes.json.
struct PictureFacts {
  std::vector<double> mean, deviation;  ///< of each channel
  std::vector<std::string> class_names;
};
PictureFacts picture_facts(const DataSettings& data, const std::filesystem::path& run);

/// Writes RUN/classes.json, where picture_facts() needs it.
void keep_class_names(const DataSettings& data, const data::ImageSet& set, const std::filesystem::path& run);

/// The recipe's data set as it comes. Throws UserError where its files are not there or wrong, and for values
/// that do not go together.
data::TrainAndTest load_data(const Recipe& recipe);

/// Threads that make batches. For image folders, unless the recipe says: as many as the run computes with, at
/// most 8, since each has a batch in memory; for sets that are in memory, none.
std::int64_t workers_of(const Recipe& recipe);

}  // namespace refnorm::experiment
