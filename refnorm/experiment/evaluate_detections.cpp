#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/evaluate_detections.h>

namespace refnorm::experiment {
namespace {

using data::CocoDetection;
using data::CocoInstances;
using metrics::OverlapOf;

/// The place of an id in a list that is sorted by it.
template <class Entry>
std::optional<std::int64_t> place_of(const std::vector<Entry>& entries, std::int64_t id) {
  const auto found = std::lower_bound(entries.begin(), entries.end(), id,
                                      [](const Entry& one, std::int64_t wanted) { return one.id < wanted; });
  if (found == entries.end() || found->id != id) return std::nullopt;
  return found - entries.begin();
}

void add_objects(const CocoInstances& truth, OverlapOf overlap, const std::string& origin,
                 metrics::CocoCase& into) {
  for (const data::CocoAnnotation& one : truth.annotations) {
    if (overlap == OverlapOf::kMasks && one.mask.empty())
      user_error("{}: annotation {}: has no 'segmentation', expected one, since masks are evaluated", origin,
                 one.id);
    into.objects.push_back({one.image, one.category, one.box, one.area, one.crowd, &one.mask});
  }
}

void add_detections(const CocoInstances& truth, const std::vector<CocoDetection>& detections,
                    OverlapOf overlap, const std::string& origin, metrics::CocoCase& into) {
  for (std::size_t i = 0; i < detections.size(); ++i) {
    const CocoDetection& one = detections[i];
    const auto image = place_of(truth.images, one.image_id);
    if (!image)
      user_error("{}: detection {}: image_id {} is not in the annotations", origin, i + 1, one.image_id);
    const auto category = place_of(truth.categories, one.category_id);
    if (!category) continue;
    metrics::Detection detection{*image, *category, one.score, one.box.value_or(Xywh{}), nullptr};
    if (overlap == OverlapOf::kMasks) {
      const data::CocoImage& of = truth.images[static_cast<std::size_t>(*image)];
      if (one.mask->height != of.height || one.mask->width != of.width) {
        user_error("{}: detection {}: its mask is of {} x {} pixels, image {} of {} x {}", origin, i + 1,
                   one.mask->height, one.mask->width, of.id, of.height, of.width);
      }
      detection.mask = &*one.mask;
    }
    into.detections.push_back(detection);
  }
}

Json figures_json(const std::array<double, 12>& figures) {
  Json json;
  for (std::size_t i = 0; i < figures.size(); ++i) json[metrics::kCocoFigures[i]] = figures[i];
  return json;
}

Json result_json(const metrics::CocoResult& result, const CocoInstances& truth, bool by_category) {
  Json json = figures_json(result.figures);
  if (!by_category) return json;
  json["categories"] = Json::array();
  for (std::size_t i = 0; i < result.by_category.size(); ++i) {
    Json one = {{"id", truth.categories[i].id}, {"name", truth.categories[i].name}};
    one.update(figures_json(result.by_category[i]));
    json["categories"].push_back(std::move(one));
  }
  return json;
}

std::string percent(const Json& share) {
  const auto value = share.get<double>();
  return value < 0 ? "–" : fmt::format("{:.2f}", 100 * value);
}

std::string printable_name(const Json& category) {
  constexpr std::size_t kLongest = 30;
  return printable(category.at("name").get_ref<const std::string&>(), kLongest);
}

std::string row(const Json& figures, const std::string& name, std::size_t width) {
  std::string text = fmt::format("{:<{}}", name, width);
  for (const char* figure : metrics::kCocoFigures) text += fmt::format(" {:>6}", percent(figures.at(figure)));
  return text + "\n";
}

}  // namespace

metrics::CocoResult evaluate_detections(const CocoInstances& truth,
                                        const std::vector<CocoDetection>& detections,
                                        const metrics::CocoOptions& options,
                                        const DetectionOrigins& origins) {
  metrics::CocoCase of;
  for (const data::CocoImage& image : truth.images) of.images.push_back({image.height, image.width});
  of.categories = static_cast<std::int64_t>(truth.categories.size());
  add_objects(truth, options.overlap, origins.annotations, of);
  add_detections(truth, detections, options.overlap, origins.detections, of);
  return metrics::evaluate_coco(of, options);
}

Json evaluate_detection_files(const DetectionEvaluation& request) {
  const std::string annotations = request.annotations.string();
  const CocoInstances truth = data::read_coco_instances(request.annotations);
  if (const std::string problem = first_problem(truth, annotations, /*left_out_only=*/true); !problem.empty())
    user_error("{}", problem);
  const std::vector<CocoDetection> detections = data::read_coco_results(request.detections);
  if (detections.empty()) user_error("{}: has no detections", request.detections.string());
  const auto crowds = std::count_if(truth.annotations.begin(), truth.annotations.end(),
                                    [](const data::CocoAnnotation& one) { return one.crowd; });
  const auto left_out = std::count_if(detections.begin(), detections.end(), [&](const CocoDetection& one) {
    return !place_of(truth.categories, one.category_id);
  });
  Json answer{{"annotations", annotations},
              {"detections", request.detections.string()},
              {"images", truth.images.size()},
              {"objects", truth.annotations.size() - static_cast<std::size_t>(crowds)},
              {"crowds", crowds},
              {"detections_read", detections.size()},
              {"detections_left_out", left_out}};
  const auto evaluate = [&](const char* kind, OverlapOf overlap) {
    metrics::CocoOptions options;
    options.overlap = overlap;
    options.threads = request.threads;
    answer[kind] = result_json(
        evaluate_detections(truth, detections, options, {annotations, request.detections.string()}), truth,
        request.by_category);
  };
  if (detections.front().box) evaluate("bbox", OverlapOf::kBoxes);
  if (detections.front().mask) evaluate("segm", OverlapOf::kMasks);
  return answer;
}

std::string detection_figures_text(const Json& evaluation) {
  std::string text = fmt::format(
      "{} detections, {} objects and {} crowds in {} images\n",
      evaluation.at("detections_read").get<std::int64_t>(), evaluation.at("objects").get<std::int64_t>(),
      evaluation.at("crowds").get<std::int64_t>(), evaluation.at("images").get<std::int64_t>());
  if (const auto left_out = evaluation.at("detections_left_out").get<std::int64_t>(); left_out > 0)
    text += fmt::format("{} detections are of categories that the annotations do not have\n", left_out);
  for (const char* kind : {"bbox", "segm"}) {
    if (!evaluation.contains(kind)) continue;
    const Json& result = evaluation.at(kind);
    std::size_t width = 4;
    if (result.contains("categories")) {
      for (const Json& one : result.at("categories")) width = std::max(width, printable_name(one).size());
    }
    text += fmt::format("\n{:<{}}", kind, width);
    for (const char* figure : metrics::kCocoFigures) text += fmt::format(" {:>6}", figure);
    text += "\n";
    text += row(result, "all", width);
    if (!result.contains("categories")) continue;
    for (const Json& one : result.at("categories")) text += row(one, printable_name(one), width);
  }
  return text;
}

}  // namespace refnorm::experiment
