#include <algorithm>

#include <torch/types.h>

#include <refnorm/experiment/found_objects.h>
#include <refnorm/ops/boxes.h>

namespace refnorm::experiment {
namespace {

using torch::Tensor;

/// Masks that are pasted at once, each into a picture of its own.
constexpr std::int64_t kPastedAtOnce = 16;

std::vector<Rle> masks_of(const Tensor& probabilities, const Tensor& boxes, const data::PictureSize& size) {
  std::vector<Rle> masks;
  const auto pixels = static_cast<std::size_t>(size.height * size.width);
  for (std::int64_t first = 0; first < boxes.size(0); first += kPastedAtOnce) {
    const std::int64_t count = std::min(kPastedAtOnce, boxes.size(0) - first);
    const Tensor pasted = ops::paste_masks(probabilities.narrow(0, first, count),
                                           boxes.narrow(0, first, count), {size.height, size.width})
                              .to(torch::kByte)
                              .contiguous();
    for (std::int64_t i = 0; i < count; ++i) {
      const std::uint8_t* values = pasted.data_ptr<std::uint8_t>() + static_cast<std::size_t>(i) * pixels;
      masks.push_back(encode_mask({values, pixels}, size.height, size.width));
    }
  }
  return masks;
}

}  // namespace

std::vector<data::CocoDetection> in_file(const models::Detections& found, const SeenPicture& picture,
                                         const std::vector<std::int64_t>& category_ids) {
  const auto ratio = [](std::int64_t seen, std::int64_t original) {
    return static_cast<double>(seen) / static_cast<double>(original);
  };
  const double x = ratio(picture.seen.width, picture.original.width);
  const double y = ratio(picture.seen.height, picture.original.height);
  const Tensor boxes = ops::clip_boxes(found.boxes.to(torch::kCPU, torch::kDouble) /
                                           torch::tensor({x, y, x, y}, torch::kDouble),
                                       {picture.original.height, picture.original.width})
                           .contiguous();
  const std::vector<Rle> masks =
      masks_of(found.masks.to(torch::kCPU, torch::kFloat), boxes.to(torch::kFloat), picture.original);
  const Tensor scores = found.scores.to(torch::kCPU, torch::kDouble).contiguous();
  const Tensor labels = found.labels.to(torch::kCPU, torch::kLong).contiguous();
  std::vector<data::CocoDetection> out;
  for (std::int64_t i = 0; i < boxes.size(0); ++i) {
    const double* at = boxes.data_ptr<double>() + 4 * i;
    data::CocoDetection one;
    one.image_id = picture.image_id;
    one.category_id = category_ids.at(static_cast<std::size_t>(labels.data_ptr<std::int64_t>()[i] - 1));
    one.score = scores.data_ptr<double>()[i];
    one.box = Xywh{at[0], at[1], at[2] - at[0], at[3] - at[1]};
    one.mask = masks[static_cast<std::size_t>(i)];
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<std::int64_t> category_ids(const data::DetectionSet& set) {
  std::vector<std::int64_t> ids;
  for (const data::CocoCategory& category : set.instances().categories) ids.push_back(category.id);
  return ids;
}

}  // namespace refnorm::experiment
