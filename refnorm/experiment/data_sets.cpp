#include <algorithm>
#include <array>

#include <refnorm/base/error.h>
#include <refnorm/base/json.h>
#include <refnorm/data/image_folder.h>
#include <refnorm/data/mnist.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/data_sets.h>

namespace refnorm::experiment {
namespace {

constexpr std::int64_t kMostWorkers = 8;
constexpr const char* kClassNames = "classes.json";

bool is_folder(const DataSettings& data) {
  return data.kind == "folder";
}

/// From … to.
std::array<double, 2> bounds(const std::string& key, const std::vector<double>& values) {
  if (values.size() != 2 || values[0] > values[1])
    user_error("data.{}: expected two numbers, the smaller one first, such as [0.75, 1.3333]", key);
  return {values[0], values[1]};
}

data::FolderOptions folder_options(const Recipe& recipe) {
  const DataSettings& wanted = recipe.data;
  data::FolderOptions options;
  options.look.size = wanted.size;
  options.look.resize = wanted.resize;
  options.look.channels_last = compute_of(recipe).channels_last;
  options.augmentation = {bounds("crop_scale", wanted.crop_scale),
                          bounds("crop_ratio", wanted.crop_ratio),
                          wanted.flip,
                          wanted.brightness,
                          wanted.contrast,
                          wanted.saturation,
                          wanted.hue,
                          wanted.erase};
  options.seed = static_cast<std::uint64_t>(recipe.run.seed);
  options.on_error = wanted.on_error == "skip" ? data::OnError::kSkip : data::OnError::kStop;
  return options;
}

}  // namespace

PictureShape picture_shape(const DataSettings& data) {
  if (is_folder(data))
    return {3, data.size, static_cast<double>(data.size) / static_cast<double>(data.resize)};
  return {1, data::kMnistSide};
}

PictureFacts picture_facts(const DataSettings& data, const std::filesystem::path& run) {
  if (!is_folder(data)) {
    const data::MnistFacts facts = data::mnist_facts(data.kind);
    return {{facts.mean}, {facts.deviation}, facts.class_names};
  }
  const data::PictureLook look;
  PictureFacts facts{
      {look.mean.begin(), look.mean.end()}, {look.deviation.begin(), look.deviation.end()}, {}};
  const std::filesystem::path file = run / kClassNames;
  try {
    facts.class_names = read_json(file).get<std::vector<std::string>>();
  } catch (const Json::exception&) {
    user_error("{}: expected a list of names", file.string());
  }
  if (facts.class_names.empty())
    user_error("{}: the list is empty, expected names of classes", file.string());
  return facts;
}

void keep_class_names(const DataSettings& data, const data::ImageSet& set, const std::filesystem::path& run) {
  if (is_folder(data)) write_json(run / kClassNames, set.class_names());
}

data::TrainAndTest load_data(const Recipe& recipe) {
  if (is_folder(recipe.data)) return data::load_image_folder(recipe.data.path, folder_options(recipe));
  return data::load_mnist(recipe.data.path, recipe.data.kind);
}

std::int64_t workers_of(const Recipe& recipe) {
  if (recipe.data.workers >= 0) return recipe.data.workers;
  return is_folder(recipe.data) || recipe.data.kind == "coco"
             ? std::clamp<std::int64_t>(recipe.run.threads, 1, kMostWorkers)
             : 0;
}

}  // namespace refnorm::experiment
