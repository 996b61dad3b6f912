#include "bench_coco_scenes.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <refnorm/base/error.h>
#include <refnorm/base/json.h>
#include <refnorm/base/polygon.h>
#include <refnorm/base/random.h>

namespace refnorm::cli {
namespace {

constexpr std::int64_t kHeight = 480, kWidth = 640;
constexpr int kCategories = 80;

/// A round thing with an uneven border.
struct Blob {
  double x, y, radius;
  std::vector<double> uneven;  ///< the radius in each direction, as a share

  Polygon border() const {
    Polygon corners;
    const auto count = static_cast<double>(uneven.size());
    for (std::size_t i = 0; i < uneven.size(); ++i) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(i) / count;
      const auto rounded = [](double value, double most) {
        return std::round(std::clamp(value, 0.0, most) * 100) / 100;
      };
      corners.push_back(rounded(x + radius * uneven[i] * std::cos(angle), kWidth));
      corners.push_back(rounded(y + radius * uneven[i] * std::sin(angle), kHeight));
    }
    return corners;
  }
};

Blob any_blob(RandomStream& random) {
  Blob blob{random.uniform() * kWidth, random.uniform() * kHeight, 5 * std::pow(30.0, random.uniform()), {}};
  blob.uneven.resize(8 + random.below(36));
  for (double& share : blob.uneven) share = 0.7 + 0.6 * random.uniform();
  return blob;
}

Blob near(const Blob& blob, RandomStream& random) {
  const double by = blob.radius * 0.5 * random.uniform();  // from hardly off to hardly matching
  Blob other = blob;
  other.x += by * random.normal();
  other.y += by * random.normal();
  other.radius *= 1 + 0.1 * random.normal();
  other.radius = std::max(other.radius, 2.0);
  for (double& share : other.uneven) share *= 0.95 + 0.1 * random.uniform();
  return other;
}

Xywh box_around(const Polygon& corners) {
  double left = kWidth;
  double top = kHeight;
  double right = 0;
  double bottom = 0;
  for (std::size_t i = 0; i < corners.size(); i += 2) {
    left = std::min(left, corners[i]);
    right = std::max(right, corners[i]);
    top = std::min(top, corners[i + 1]);
    bottom = std::max(bottom, corners[i + 1]);
  }
  // Of a thing nearly outside there is a pixel at the border.
  right = std::max(right, std::min(left + 1.0, static_cast<double>(kWidth)));
  bottom = std::max(bottom, std::min(top + 1.0, static_cast<double>(kHeight)));
  left = std::min(left, right - 1);
  top = std::min(top, bottom - 1);
  return {left, top, right - left, bottom - top};
}

/// A JSON list in a file, one entry after the other.
class ListFile {
 public:
  explicit ListFile(const std::filesystem::path& file) : file_(file), out_(file, std::ios::binary) {}
  void raw(std::string_view text) { out_ << text; }
  void entry(const std::string& text) {
    out_ << (first_ ? "" : ", ") << text;
    first_ = false;
  }
  void end_list(std::string_view text) {
    out_ << text;
    first_ = true;
  }
  void close() {
    out_.close();
    if (!out_) fail("{}: cannot be written", file_.string());
  }

 private:
  std::filesystem::path file_;
  std::ofstream out_;
  bool first_ = true;
};

std::string numbers(const double* begin, const double* end) {
  std::string text;
  for (const double* number = begin; number != end; ++number)
    fmt::format_to(std::back_inserter(text), "{}{:.2f}", number == begin ? "" : ",", *number);
  return text;
}

std::string rle_json(const Rle& mask) {
  return fmt::format(R"({{"size": [{}, {}], "counts": {}}})", mask.height, mask.width,
                     Json(rle_text(mask)).dump());
}

class Writer {
 public:
  Writer(const CocoScenes& scenes, const std::filesystem::path& folder)
      : scenes_(scenes), random_(1, "scenes"), instances_(folder / "instances.json") {
    if (scenes.detections > 0) detections_ = std::make_unique<ListFile>(folder / "detections.json");
  }

  void write() {
    instances_.raw(R"({"info": {"description": "generated"}, "images": [)");
    for (std::int64_t i = 0; i < scenes_.pictures; ++i) {
      instances_.entry(
          fmt::format(R"({{"license": 4, "file_name": "{:012}.jpg", "height": {}, "width": {}, "id": {}}})",
                      i + 1, kHeight, kWidth, i + 1));
    }
    instances_.end_list(R"(], "annotations": [)");
    if (detections_) detections_->raw("[");
    for (std::int64_t i = 0; i < scenes_.pictures; ++i) write_picture(i);
    instances_.end_list(R"(], "categories": [)");
    for (int i = 1; i <= kCategories; ++i)
      instances_.entry(fmt::format(R"({{"supercategory": "thing", "id": {}, "name": "thing {}"}})", i, i));
    instances_.raw("]}\n");
    instances_.close();
    if (!detections_) return;
    detections_->raw("]\n");
    detections_->close();
  }

 private:
  /// The part of `total` that picture i of all has.
  std::int64_t share(std::int64_t total, std::int64_t i) const {
    return total * (i + 1) / scenes_.pictures - total * i / scenes_.pictures;
  }

  void write_picture(std::int64_t i) {
    std::vector<std::pair<Blob, int>> blobs;
    for (std::int64_t k = share(scenes_.objects, i); k > 0; --k) {
      blobs.emplace_back(any_blob(random_),
                         1 + static_cast<int>(kCategories * std::pow(random_.uniform(), 2.5)));
      write_object(i + 1, blobs.back().first, blobs.back().second);
    }
    for (std::int64_t k = share(scenes_.detections, i); k > 0; --k) {
      const bool wrong = blobs.empty() || random_.below(4) == 0;
      const auto& [blob, category] =
          wrong ? std::pair(any_blob(random_), 1 + static_cast<int>(random_.below(kCategories)))
                : blobs[random_.below(blobs.size())];
      write_detection(i + 1, near(blob, random_), category, wrong);
    }
  }

  void write_object(std::int64_t image, const Blob& blob, int category) {
    const Polygon border = blob.border();
    const Xywh box = box_around(border);
    const bool crowd = random_.below(100) == 0;
    std::string mask = fmt::format("[[{}]]", numbers(border.data(), border.data() + border.size()));
    if (crowd) {
      const Rle rle = rasterize(border, kHeight, kWidth);
      mask = fmt::format(R"({{"counts": [{}], "size": [{}, {}]}})", fmt::join(rle.counts, ", "), kHeight,
                         kWidth);
    }
    instances_.entry(fmt::format(
        R"({{"segmentation": {}, "area": {:.8f}, "iscrowd": {}, "image_id": {}, "bbox": [{}], "category_id": {}, "id": {}}})",
        mask, std::numbers::pi * blob.radius * blob.radius, crowd ? 1 : 0, image,
        numbers(box.data(), box.data() + box.size()), category, ++objects_));
  }

  void write_detection(std::int64_t image, const Blob& blob, int category, bool wrong) {
    const Polygon border = blob.border();
    const Xywh box = box_around(border);
    const double score = std::min(1.0, (wrong ? 0.6 : 1.0) * random_.uniform());
    detections_->entry(fmt::format(
        R"({{"image_id": {}, "category_id": {}, "bbox": [{}], "score": {:.6f}, "segmentation": {}}})", image,
        category, numbers(box.data(), box.data() + box.size()), score,
        rle_json(rasterize(border, kHeight, kWidth))));
  }

  CocoScenes scenes_;
  RandomStream random_;
  std::int64_t objects_ = 0;
  ListFile instances_;
  std::unique_ptr<ListFile> detections_;
};

}  // namespace

void write_coco_scenes(const CocoScenes& scenes, const std::filesystem::path& folder) {
  Writer(scenes, folder).write();
}

}  // namespace refnorm::cli
