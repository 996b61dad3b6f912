#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace refnorm::deploy {

/// What a model file says about itself: enough to feed it pictures and to read its scores without the recipe
/// or the data set that it was trained on. It travels as texts by key, in an ONNX file's metadata_props and
/// in a safetensors file's __metadata__.
struct ModelDescription {
  std::string input = "images";   ///< the graph's input: [N, channels, height, width], float32
  std::string output = "scores";  ///< the graph's output: [N, classes], before any softmax
  std::int64_t channels = 0;      ///< 1: grey; 3: red, green, blue, in this order
  std::int64_t height = 0, width = 0;
  /// One number a channel: the network sees (pixel / 255 − mean) / std of pixels 0 … 255, as
  /// data::PixelScale has it.
  std::vector<double> mean, std;
  double centre = 1;  ///< of the largest square in a picture, how much of its sides the network was shown
  std::vector<std::string> classes;  ///< their names in the order of the scores
  std::string model;                 ///< "lenet5"
  std::string norm;                  ///< as it was trained, "rbn:fixed"; folded away or not
  std::string recipe, arm;           ///< names, for people
};

/// Keys "refnorm.input", "refnorm.output", "refnorm.model", "refnorm.norm", "refnorm.recipe", "refnorm.arm";
/// "refnorm.preprocessing", a JSON object of channels, height, width, mean and std, and centre where that is
/// not 1; and "refnorm.classes", a JSON list of names. Throws Error for a description that description_from()
/// would not read.
std::map<std::string, std::string> to_metadata(const ModelDescription& description);

/// Whether there is a description in `metadata`, complete or not.
bool has_description(const std::map<std::string, std::string>& metadata);

/// Reads what to_metadata() wrote; other keys are ignored. Texts that are missing are empty, or "images" and
/// "scores"; preprocessing and classes must be there. Throws UserError of one line, naming `origin` and the
/// key, where one is missing or damaged: numbers that are not finite, std that is not positive, lists of the
/// wrong length, sizes that no picture has.
ModelDescription description_from(const std::map<std::string, std::string>& metadata,
                                  const std::string& origin);

}  // namespace refnorm::deploy
