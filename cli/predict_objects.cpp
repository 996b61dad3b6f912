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

/// What --annotations says of each picture.
struct Annotated {
  std::int64_t id = 0;
  std::vector<data::DrawnObject> boxes;  ///< and names, grey
};

std::vector<Annotated> annotated(const ObjectsRequest& request) {
  std::vector<Annotated> pictures(request.images.size());
  if (request.annotations.empty()) {
    for (std::size_t i = 0; i < pictures.size(); ++i) pictures[i].id = static_cast<std::int64_t>(i) + 1;
    return pictures;
  }
  const data::CocoInstances all = data::read_coco_instances(request.annotations);
  std::map<std::string, std::size_t> by_name;
  for (std::size_t place = 0; place < all.images.size(); ++place)
    by_name[fs::path(all.images[place].file_name).filename().string()] = place;
  std::map<std::int64_t, std::vector<Annotated*>> by_place;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const auto found = by_name.find(fs::path(request.images[i]).filename().string());
    if (found == by_name.end())
      user_error("{}: is not among the pictures of {}", request.images[i], request.annotations);
    pictures[i].id = all.images[found->second].id;
    by_place[static_cast<std::int64_t>(found->second)].push_back(&pictures[i]);
  }
  for (const data::CocoAnnotation& one : all.annotations) {
    const auto found = by_place.find(one.image);
    if (found == by_place.end() || !one.sound) continue;
    const std::string& name = all.categories[static_cast<std::size_t>(one.category)].name;
    for (Annotated* picture : found->second)
      picture->boxes.push_back({one.box, nullptr, name + (one.crowd ? " (crowd)" : ""), 0, /*truth=*/true});
  }
  if (const std::string problem = data::first_problem(all, request.annotations, /*left_out_only=*/false);
      request.on_truth && !problem.empty()) {
    fmt::print(stderr, "{}; such boxes are not drawn\n", problem);
  }
  return pictures;
}

data::Picture white_like(const data::Picture& picture) {
  return {picture.height, picture.width, 3,
          std::vector<float>(static_cast<std::size_t>(3 * picture.height * picture.width), 1.0F)};
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
          const experiment::DetectionPredictor& predictor, const std::vector<data::DrawnObject>* truth) {
  std::vector<data::DrawnObject> objects;
  if (truth != nullptr) objects = *truth;
  for (auto one = shown.rbegin(); one != shown.rend(); ++one) {
    objects.push_back({*one->box, one->mask ? &*one->mask : nullptr,
                       fmt::format("{} {:.2f}", predictor.name(one->category_id), one->score),
                       static_cast<std::size_t>(one->category_id), /*truth=*/false});
  }
  const data::Picture picture = data::read_picture(image);
  write_file(file, data::objects_png(truth != nullptr ? white_like(picture) : picture, objects));
}

}  // namespace

Answer predict_objects(const ObjectsRequest& request) {
  const std::vector<Annotated> of = annotated(request);
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
        found = predictor.detect(image, of[i].id);
      }
      all.insert(all.end(), found.begin(), found.end());
      std::erase_if(found, [&](const data::CocoDetection& one) { return one.score < request.score; });
      entry["objects"] = Json::array();
      for (const data::CocoDetection& one : found)
        entry["objects"].push_back(entry_of(one, predictor.name(one.category_id)));
      answer.text += in_words(image, entry["objects"]);
      if (!request.drawn.empty()) {
        if (i == 0) make_folder(fs::path(request.drawn[i]).parent_path());
        draw(image, request.drawn[i], found, predictor, request.on_truth ? &of[i].boxes : nullptr);
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
