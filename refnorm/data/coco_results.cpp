#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/data/coco_results.h>
#include <refnorm/data/coco_values.h>

namespace refnorm::data {
namespace {

using Kind = CocoValue::Kind;

bool given(const CocoRecord& record, CocoField field) {
  const CocoValue& value = record[field];
  const bool empty_list = value.kind == Kind::kNumbers && value.numbers.empty();
  return value.kind != Kind::kMissing && value.kind != Kind::kNull && !empty_list;
}

bool finite(const CocoDetection& one) {
  if (!std::isfinite(one.score)) return false;
  return !one.box ||
         std::all_of(one.box->begin(), one.box->end(), [](double part) { return std::isfinite(part); });
}

class ResultsReader {
 public:
  explicit ResultsReader(std::string origin) : origin_(std::move(origin)) {}

  CocoLists lists() {
    return {{}, [this](std::size_t, std::int64_t place, const CocoRecord& record) {
              add(record, fmt::format("{}: detection {}", origin_, place + 1));
            }};
  }
  std::vector<CocoDetection> take() { return std::move(found_); }

 private:
  void add(const CocoRecord& record, const std::string& entry) {
    CocoDetection found;
    found.image_id = whole_number(record, CocoField::kImageId, entry);
    found.category_id = whole_number(record, CocoField::kCategoryId, entry);
    found.score = number(record, CocoField::kScore, entry);
    if (given(record, CocoField::kBbox)) found.box = box(record, entry);
    if (given(record, CocoField::kSegmentation)) {
      if (required(record, CocoField::kSegmentation, entry).kind != Kind::kObject)
        user_error("{}: its 'segmentation' is not an RLE, an object with 'size' and 'counts'", entry);
      found.mask = rle(record, entry);
    }
    if (!found.box && !found.mask) user_error("{}: has neither 'bbox' nor 'segmentation'", entry);
    if (!found_.empty()) {
      const CocoDetection& first = found_.front();
      const auto check = [&](bool here, bool there, CocoField field) {
        if (here != there) {
          user_error("{}: has {}'{}', and the first detection has {}", entry, here ? "" : "no ",
                     coco_key(field), there ? "one" : "none");
        }
      };
      check(found.box.has_value(), first.box.has_value(), CocoField::kBbox);
      check(found.mask.has_value(), first.mask.has_value(), CocoField::kSegmentation);
    }
    found_.push_back(std::move(found));
  }

  std::string origin_;
  std::vector<CocoDetection> found_;
};

}  // namespace

std::vector<CocoDetection> read_coco_results(const std::filesystem::path& file) {
  ResultsReader reader(file.string());
  read_coco_records(file, reader.lists());
  return reader.take();
}

std::vector<CocoDetection> parse_coco_results(std::string_view text, const std::string& origin) {
  ResultsReader reader(origin);
  parse_coco_records(text, origin, reader.lists());
  return reader.take();
}

std::string coco_results_text(const std::vector<CocoDetection>& detections) {
  std::string text = "[";
  auto out = std::back_inserter(text);
  for (const CocoDetection& one : detections) {
    if (!finite(one)) fail("a detection of image {} has numbers that are not finite", one.image_id);
    fmt::format_to(out, "{}{{\"image_id\":{},\"category_id\":{}", text.size() > 1 ? ",\n" : "", one.image_id,
                   one.category_id);
    if (one.box) {
      const Xywh& box = *one.box;
      fmt::format_to(out, ",\"bbox\":[{},{},{},{}]", box[0], box[1], box[2], box[3]);
    }
    if (one.mask) {
      // A compressed RLE may have a backslash in it.
      fmt::format_to(out, ",\"segmentation\":{{\"size\":[{},{}],\"counts\":{}}}", one.mask->height,
                     one.mask->width, Json(rle_text(*one.mask)).dump());
    }
    fmt::format_to(out, ",\"score\":{}}}", one.score);
  }
  text += "]\n";
  return text;
}

void write_coco_results(const std::filesystem::path& file, const std::vector<CocoDetection>& detections) {
  write_file(file, coco_results_text(detections));
}

}  // namespace refnorm::data
