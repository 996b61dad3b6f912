#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include <refnorm/data/coco_instances.h>
#include <refnorm/data/coco_values.h>

namespace refnorm::data {
namespace {

using Kind = CocoValue::Kind;

/// By this much a box may go beyond its picture: corners are rounded, and some tools count the last pixel
/// twice.
constexpr double kMargin = 1;

/// The least size of a polygon's list, and of one that has an area.
constexpr std::size_t kThreeCorners = 6;

std::vector<Polygon> polygons_of(const CocoValue& value, const std::string& entry) {
  std::vector<Polygon> polygons;
  polygons.reserve(value.ends.size());
  std::size_t begin = 0;
  for (const std::size_t end : value.ends) {
    const std::size_t size = end - begin;
    if (size < kThreeCorners || size % 2 != 0) {
      user_error("{}: a polygon of its segmentation has {} numbers, expected x and y of at least 3 corners",
                 entry, size);
    }
    polygons.emplace_back(value.numbers.begin() + static_cast<std::ptrdiff_t>(begin),
                          value.numbers.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end;
  }
  return polygons;
}

InstanceMask mask_of(const CocoRecord& record, const std::string& entry) {
  const CocoValue& value = record[CocoField::kSegmentation];
  if (value.kind == Kind::kMissing || value.kind == Kind::kNull) return {};
  required(record, CocoField::kSegmentation, entry);
  if (value.kind == Kind::kObject) return {{}, rle(record, entry)};
  if (value.kind == Kind::kLists) return {polygons_of(value, entry), {}};
  if (value.kind == Kind::kNumbers && value.numbers.empty()) return {};
  user_error("{}: 'segmentation' is neither a list of polygons nor an RLE", entry);
}

bool crowd_of(const CocoRecord& record, const std::string& entry) {
  const CocoValue& value = record[CocoField::kIsCrowd];
  if (value.kind == Kind::kMissing) return false;
  required(record, CocoField::kIsCrowd, entry);
  if ((value.kind != Kind::kWhole && value.kind != Kind::kBool) || value.whole < 0 || value.whole > 1)
    user_error("{}: 'iscrowd' is neither 0 nor 1", entry);
  return value.whole == 1;
}

class InstancesReader {
 public:
  CocoLists lists() {
    return {{"images", "annotations", "categories"},
            [this](std::size_t list, std::int64_t place, const CocoRecord& record) {
              // An id tells more than a place, if it has one.
              constexpr const char* kNames[] = {"image", "annotation", "category"};
              const CocoValue& id = record[CocoField::kId];
              const std::string entry = id.kind == Kind::kWhole && !id.twice
                                            ? fmt::format("{} {}", kNames[list], id.whole)
                                            : fmt::format("{} at place {}", kNames[list], place + 1);
              noting([&] {
                if (list == 0) add_image(record, entry);
                if (list == 1) add_annotation(record, entry);
                if (list == 2) add_category(record, entry);
              });
            }};
  }

  CocoInstances finish() {
    sort_by_id(found_.images, "image");
    sort_by_id(found_.categories, "category");
    join();
    return std::move(found_);
  }

 private:
  template <class Action>
  void noting(const Action& action) {
    try {
      action();
    } catch (const UserError& error) {
      found_.problems.push_back({error.what(), true});
    }
  }

  void add_image(const CocoRecord& record, const std::string& entry) {
    CocoImage image{
        whole_number(record, CocoField::kId, entry), whole_number(record, CocoField::kHeight, entry),
        whole_number(record, CocoField::kWidth, entry), text(record, CocoField::kFileName, entry)};
    constexpr std::int64_t kLongest = 1 << 20;
    if (image.height <= 0 || image.width <= 0 || image.height > kLongest || image.width > kLongest ||
        image.height * image.width > kMostMaskPixels)
      user_error("{}: is {} wide and {} high", entry, image.width, image.height);
    found_.images.push_back(std::move(image));
  }

  void add_category(const CocoRecord& record, const std::string& entry) {
    found_.categories.push_back(
        {whole_number(record, CocoField::kId, entry), text(record, CocoField::kName, entry)});
  }

  void add_annotation(const CocoRecord& record, const std::string& entry) {
    CocoAnnotation annotation;
    annotation.id = whole_number(record, CocoField::kId, entry);
    annotation.image = whole_number(record, CocoField::kImageId, entry);  // places when all are read
    annotation.category = whole_number(record, CocoField::kCategoryId, entry);
    annotation.box = box(record, entry);
    annotation.area = number(record, CocoField::kArea, entry);
    if (annotation.area < 0) user_error("{}: its area is {}", entry, annotation.area);
    annotation.crowd = crowd_of(record, entry);
    annotation.mask = mask_of(record, entry);
    found_.annotations.push_back(std::move(annotation));
  }

  /// Of entries with the same id the first one stays.
  template <class Entry>
  void sort_by_id(std::vector<Entry>& entries, const char* name) {
    const auto by_id = [](const Entry& a, const Entry& b) { return a.id < b.id; };
    std::stable_sort(entries.begin(), entries.end(), by_id);
    const auto same = [&](const Entry& a, const Entry& b) {
      if (a.id != b.id) return false;
      found_.problems.push_back({fmt::format("{} {}: there is more than one of that id", name, b.id), true});
      return true;
    };
    entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  }

  template <class Entry>
  static std::int64_t place_of(const std::vector<Entry>& entries, std::int64_t id, const std::string& entry,
                               const char* what) {
    const auto found =
        std::lower_bound(entries.begin(), entries.end(), id,
                         [](const Entry& one, std::int64_t wanted) { return one.id < wanted; });
    if (found == entries.end() || found->id != id)
      user_error("{}: its {} {} is not in the file, or left out", entry, what, id);
    return found - entries.begin();
  }

  /// Of annotations. There is hardly ever one, so that no set of all ids is held.
  std::unordered_set<std::int64_t> repeated_ids() const {
    std::vector<std::int64_t> ids;
    ids.reserve(found_.annotations.size());
    for (const CocoAnnotation& annotation : found_.annotations) ids.push_back(annotation.id);
    std::sort(ids.begin(), ids.end());
    std::unordered_set<std::int64_t> repeated;
    for (std::size_t i = 1; i < ids.size(); ++i) {
      if (ids[i] == ids[i - 1]) repeated.insert(ids[i]);
    }
    return repeated;
  }

  /// Checks annotations against the rest of the file.
  void join() {
    const std::unordered_set<std::int64_t> repeated = repeated_ids();
    std::unordered_set<std::int64_t> seen;
    auto& all = found_.annotations;
    std::size_t to = 0;
    for (CocoAnnotation& annotation : all) {
      noting([&] {
        const std::string entry = fmt::format("annotation {}", annotation.id);
        if (repeated.contains(annotation.id) && !seen.insert(annotation.id).second)
          user_error("{}: there is more than one of that id", entry);
        annotation.image = place_of(found_.images, annotation.image, entry, "image_id");
        annotation.category = place_of(found_.categories, annotation.category, entry, "category_id");
        check_within(annotation, found_.images[static_cast<std::size_t>(annotation.image)], entry);
        if (&all[to] != &annotation) all[to] = std::move(annotation);
        ++to;
      });
    }
    all.resize(to);
  }

  void check_within(CocoAnnotation& annotation, const CocoImage& image, const std::string& entry) {
    const std::optional<Rle>& mask = annotation.mask.rle;
    if (mask && (mask->height != image.height || mask->width != image.width)) {
      user_error("{}: its RLE is of {} x {} pixels, its picture of {} x {}", entry, mask->height, mask->width,
                 image.height, image.width);
    }
    const Xywh& box = annotation.box;
    std::string what;
    if (box[2] <= 0 || box[3] <= 0) {
      what = fmt::format("{}: its box is {} wide and {} high", entry, box[2], box[3]);
    } else if (box[0] < -kMargin || box[1] < -kMargin ||
               box[0] + box[2] > static_cast<double>(image.width) + kMargin ||
               box[1] + box[3] > static_cast<double>(image.height) + kMargin) {
      what =
          fmt::format("{}: its box, x {} to {}, y {} to {}, is outside of its picture, {} wide and {} high",
                      entry, box[0], box[0] + box[2], box[1], box[1] + box[3], image.width, image.height);
    }
    if (what.empty()) return;
    annotation.sound = false;
    found_.problems.push_back({std::move(what), false});
  }

  CocoInstances found_;
};

}  // namespace

CocoInstances read_coco_instances(const std::filesystem::path& file) {
  InstancesReader reader;
  read_coco_records(file, reader.lists());
  return reader.finish();
}

CocoInstances parse_coco_instances(std::string_view text, const std::string& origin) {
  InstancesReader reader;
  parse_coco_records(text, origin, reader.lists());
  return reader.finish();
}

CocoInstances of_images(const CocoInstances& all, std::vector<std::int64_t> places) {
  std::sort(places.begin(), places.end());
  CocoInstances out;
  out.categories = all.categories;
  std::unordered_map<std::int64_t, std::int64_t> moved;
  for (const std::int64_t place : places) {
    moved[place] = static_cast<std::int64_t>(out.images.size());
    out.images.push_back(all.images[static_cast<std::size_t>(place)]);
  }
  for (const CocoAnnotation& annotation : all.annotations) {
    const auto found = moved.find(annotation.image);
    if (found == moved.end()) continue;
    out.annotations.push_back(annotation);
    out.annotations.back().image = found->second;
  }
  return out;
}

std::string first_problem(const CocoInstances& instances, const std::string& origin, bool left_out_only) {
  std::int64_t count = 0;
  const std::string* first = nullptr;
  for (const CocoProblem& problem : instances.problems) {
    if (left_out_only && !problem.left_out) continue;
    if (count++ == 0) first = &problem.what;
  }
  if (first == nullptr) return {};
  if (count == 1) return fmt::format("{}: {}", origin, *first);
  return fmt::format("{}: {} (and {} more problem{})", origin, *first, count - 1, count == 2 ? "" : "s");
}

}  // namespace refnorm::data
