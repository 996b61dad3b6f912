#include "predict_objects.h"

#include <filesystem>
#include <map>
#include <optional>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/text.h>
#include <refnorm/data/coco_instances.h>
#include <refnorm/data/picture.h>
#include <refnorm/data/picture_objects.h>
#include <refnorm/experiment/detection_predictor.h>

#include "quiet_standard_error.h"

namespace refnorm::cli {
namespace {

namespace fs = std::filesystem;

/// The id that each picture has in the results.
std::vector<std::int64_t> image_ids(const ObjectsRequest& request) {
  std::vector<std::int64_t> ids;
  if (request.annotations.empty()) {
    for (std::size_t i = 0; i < request.images.size(); ++i) ids.push_back(static_cast<std::int64_t>(i) + 1);
    return ids;
  }
  std::map<std::string, std::int64_t> by_name;
  for (const data::CocoImage& image : data::read_coco_instances(request.annotations).images)
    by_name[fs::path(image.file_name).filename().string()] = image.id;
  for (const std::string& image : request.images) {
    const auto found = by_name.find(fs::path(image).filename().string());
    if (found == by_name.end()) user_error("{}: is not among the pictures of {}", image, request.annotations);
    ids.push_back(found->second);
  }
  return ids;
}

Json entry_of(const data::CocoDetection& one, const std::string& name) {
  return {{"class", name}, {"score", one.score}, {"box", *one.box}};
}

std::string in_words(const std::string& image, const Json& objects) {
  std::vector<std::string> words;
  for (const Json& object : objects)
    words.push_back(
        fmt::format("{} ({:.2f})", object.at("class").get<std::string>(), object.at("score").get<double>()));
  return fmt::format("{}: {}\n", image, words.empty() ? "nothing" : join(words, ", "));
}

void draw(const std::string& image, const std::string& file, const std::vector<data::CocoDetection>& shown,
          const experiment::DetectionPredictor& predictor) {
  std::vector<data::DrawnObject> objects;
  for (auto one = shown.rbegin(); one != shown.rend(); ++one) {
    objects.push_back({*one->box, one->mask ? &*one->mask : nullptr,
                       fmt::format("{} {:.2f}", predictor.name(one->category_id), one->score),
                       static_cast<std::size_t>(one->category_id)});
  }
  write_file(file, data::objects_png(data::read_picture(image), objects));
}

}  // namespace

Answer predict_objects(const ObjectsRequest& request) {
  const std::vector<std::int64_t> ids = image_ids(request);
  experiment::DetectionPredictor predictor(request.run, request.of, request.statistics);
  Answer answer{Json::array(), "", 0};
  std::vector<data::CocoDetection> all;
  std::size_t done = 0;
  for (std::size_t i = 0; i < request.images.size(); ++i) {
    const std::string& image = request.images[i];
    Json entry{{"image", image}};
    try {
      std::vector<data::CocoDetection> found;
      {
        const QuietStandardError quiet;
        found = predictor.detect(image, ids[i]);
      }
      all.insert(all.end(), found.begin(), found.end());
      std::erase_if(found, [&](const data::CocoDetection& one) { return one.score < request.score; });
      entry["objects"] = Json::array();
      for (const data::CocoDetection& one : found)
        entry["objects"].push_back(entry_of(one, predictor.name(one.category_id)));
      answer.text += in_words(image, entry["objects"]);
      if (!request.drawn.empty()) {
        if (i == 0) make_folder(fs::path(request.drawn[i]).parent_path());
        draw(image, request.drawn[i], found, predictor);
        entry["drawn"] = request.drawn[i];
      }
      ++done;
    } catch (const UserError& error) {
      entry["error"] = error.what();
      print_error(error.what());
    }
    answer.json.push_back(entry);
  }
  if (!request.results.empty()) data::write_coco_results(request.results, all);
  if (done < request.images.size()) answer.status = done > 0 ? 1 : 2;
  return answer;
}

}  // namespace refnorm::cli
