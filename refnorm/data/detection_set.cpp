#include <algorithm>
#include <cmath>
#include <unordered_set>
#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/random.h>
#include <refnorm/data/detection_set.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

void check(const DetectionOptions& options) {
  if (options.short_side <= 0 || options.long_side < options.short_side) {
    user_error("data.long_side: {} pixels, expected at least data.short_side, {}, and that at least 1",
               options.long_side, options.short_side);
  }
  if (options.multiple <= 0) user_error("data.multiple: {}, expected at least 1", options.multiple);
  if (!(options.flip >= 0 && options.flip <= 1)) user_error("data.flip: {}, expected 0 to 1", options.flip);
}

std::int64_t rounded_up(std::int64_t size, std::int64_t multiple) {
  return (size + multiple - 1) / multiple * multiple;
}

/// The part of the box within the picture.
Corners cut(const Corners& box, const PictureSize& size) {
  const auto width = static_cast<double>(size.width);
  const auto height = static_cast<double>(size.height);
  return {std::clamp(box[0], 0.0, width), std::clamp(box[1], 0.0, height), std::clamp(box[2], 0.0, width),
          std::clamp(box[3], 0.0, height)};
}

/// Whether anything of a box is in its picture.
bool within(const CocoAnnotation& annotation, const CocoImage& image) {
  const Corners box = cut(placed_box(annotation.box, {}), {image.height, image.width});
  return box[0] < box[2] && box[1] < box[3];
}

bool crowds_alone(const std::vector<const CocoAnnotation*>& annotations) {
  return std::all_of(annotations.begin(), annotations.end(), [](const auto* one) { return one->crowd; });
}

}  // namespace

PictureSize resized(const PictureSize& size, std::int64_t short_side, std::int64_t long_side) {
  const auto shorter = static_cast<double>(std::min(size.height, size.width));
  const auto longer = static_cast<double>(std::max(size.height, size.width));
  const double factor =
      std::min(static_cast<double>(short_side) / shorter, static_cast<double>(long_side) / longer);
  const auto side = [&](std::int64_t length) {
    return std::max<std::int64_t>(1, std::llround(static_cast<double>(length) * factor));
  };
  return {side(size.height), side(size.width)};
}

DetectionSet::DetectionSet(CocoInstances instances, fs::path pictures, DetectionOptions options,
                           const std::string& origin)
    : instances_(std::make_shared<CocoInstances>(std::move(instances))),
      pictures_(std::move(pictures)),
      options_(options) {
  check(options_);
  if (options_.on_error == OnError::kStop) {
    if (const std::string problem = first_problem(*instances_, origin, false); !problem.empty())
      user_error("{}", problem);
  }
  images_.resize(instances_->images.size());
  for (std::size_t i = 0; i < images_.size(); ++i) images_[i].image = static_cast<std::int64_t>(i);
  for (const CocoAnnotation& one : instances_->annotations) {
    const auto image = static_cast<std::size_t>(one.image);
    if (one.sound && within(one, instances_->images[image])) images_[image].annotations.push_back(&one);
  }
  if (options_.empty == DetectionOptions::Empty::kDrop)
    std::erase_if(images_, [](const Entry& entry) { return crowds_alone(entry.annotations); });
  if (images_.empty()) {
    user_error("{}: has no pictures{}", origin,
               options_.empty == DetectionOptions::Empty::kDrop ? " with objects in them" : "");
  }
}

const CocoImage& DetectionSet::image(std::int64_t index) const {
  const Entry& entry = images_.at(static_cast<std::size_t>(index));
  return instances_->images[static_cast<std::size_t>(entry.image)];
}

std::string DetectionSet::name_of(const CocoImage& image) const {
  return (pictures_.filename() / image.file_name).string();
}

void DetectionSet::add_unreadable(const std::vector<Unreadable>& found) const {
  for (const Unreadable& one : found) unreadable_.add(one.file, one.why);
}

std::shared_ptr<const CocoInstances> DetectionSet::readable() const {
  std::unordered_set<std::string> unreadable;
  for (const Unreadable& one : unreadable_.list()) unreadable.insert(one.file);
  if (unreadable.empty()) return instances_;
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < instances_->images.size(); ++i) {
    if (!unreadable.contains(name_of(instances_->images[i]))) places.push_back(static_cast<std::int64_t>(i));
  }
  return std::make_shared<CocoInstances>(of_images(*instances_, std::move(places)));
}

const CocoCategory& DetectionSet::category(std::int64_t label) const {
  return instances_->categories.at(static_cast<std::size_t>(label - 1));
}

std::vector<std::int64_t> DetectionSet::orientations() const {
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < size(); ++i) all.push_back(image(i).width > image(i).height ? 1 : 0);
  return all;
}

DetectionBatch DetectionSet::batch(std::span<const std::int64_t> indices) const {
  return filled(indices, std::vector<bool>(indices.size()), /*margin=*/2);
}

DetectionBatch DetectionSet::training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const {
  const std::uint64_t seed = stream_seed(options_.seed, "augmentation", static_cast<std::uint64_t>(epoch));
  std::vector<bool> mirrored;
  for (const std::int64_t index : indices) {
    RandomStream random(seed, "sample", static_cast<std::uint64_t>(index));
    mirrored.push_back(random.uniform() < options_.flip);
  }
  return filled(indices, mirrored, /*margin=*/1);
}

DetectionBatch DetectionSet::filled(std::span<const std::int64_t> indices, const std::vector<bool>& mirrored,
                                    std::int64_t margin) const {
  DetectionBatch batch{{}, {}, {indices.begin(), indices.end()}, {}};
  PictureSize size;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    batch.targets.push_back(targets_of(indices[i], mirrored[i]));
    size.height = std::max(size.height, rounded_up(batch.targets[i].size.height, options_.multiple));
    size.width = std::max(size.width, rounded_up(batch.targets[i].size.width, options_.multiple));
  }
  const bool channels_last = options_.look.channels_last;
  batch.images =
      torch::empty({static_cast<std::int64_t>(indices.size()), 3, size.height, size.width},
                   channels_last ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous)
          .zero_();
  const std::int64_t plane = size.height * size.width;
  Workspace workspace;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto place = static_cast<std::int64_t>(i);
    const Canvas out{batch.images.data_ptr<float>() + place * 3 * plane,
                     channels_last ? 3 * size.width : size.width, channels_last ? 0 : plane};
    if (!fill(indices[i], batch.targets[i], margin, workspace, out)) batch.missing.push_back(place);
  }
  return batch;
}

DetectionTargets DetectionSet::targets_of(std::int64_t index, bool mirrored) const {
  const CocoImage& of = image(index);
  DetectionTargets targets;
  targets.image_id = of.id;
  targets.original = {of.height, of.width};
  targets.size = resized(targets.original, options_.short_side, options_.long_side);
  targets.place = {static_cast<double>(targets.size.width) / static_cast<double>(of.width),
                   static_cast<double>(targets.size.height) / static_cast<double>(of.height), mirrored,
                   static_cast<double>(of.width)};
  const std::vector<const CocoAnnotation*>& annotations =
      images_[static_cast<std::size_t>(index)].annotations;
  const auto count = static_cast<std::int64_t>(annotations.size());
  targets.boxes = torch::empty({count, 4});
  targets.labels = torch::empty({count}, torch::kLong);
  targets.crowd = torch::empty({count}, torch::kBool);
  for (std::int64_t i = 0; i < count; ++i) {
    const CocoAnnotation& one = *annotations[static_cast<std::size_t>(i)];
    const Corners box = cut(placed_box(one.box, targets.place), targets.size);
    std::transform(box.begin(), box.end(), targets.boxes.data_ptr<float>() + 4 * i,
                   [](double corner) { return static_cast<float>(corner); });
    targets.labels.data_ptr<std::int64_t>()[i] = one.category + 1;
    targets.crowd.data_ptr<bool>()[i] = one.crowd;
    targets.masks.emplace_back(instances_, &one.mask);
  }
  return targets;
}

bool DetectionSet::fill(std::int64_t index, const DetectionTargets& targets, std::int64_t margin,
                        Workspace& workspace, const Canvas& out) const {
  const fs::path file = pictures_ / image(index).file_name;
  std::string bytes = read_file(file);
  try {
    PictureSource source(std::move(bytes), file.string());
    if (PictureSize{source.height(), source.width()} != targets.original) {
      user_error("{}: {} pixels wide and {} high, expected {} and {}, as the annotations say", file.string(),
                 source.width(), source.height(), targets.original.width, targets.original.height);
    }
    write_whole_look(source, targets.size.height, targets.size.width, targets.place.mirrored, margin,
                     options_.look, workspace, out);
  } catch (const UserError& error) {
    if (options_.on_error == OnError::kStop) throw;
    const std::string origin = file.string() + ": ";
    const std::string why = error.what();
    unreadable_.add(name_of(image(index)), why.starts_with(origin) ? why.substr(origin.size()) : why);
    return false;
  }
  return true;
}

std::shared_ptr<const DetectionSet> load_detection_set(const fs::path& annotations, const fs::path& pictures,
                                                       const DetectionOptions& options) {
  return std::make_shared<DetectionSet>(read_coco_instances(annotations), pictures, options,
                                        annotations.string());
}

}  // namespace refnorm::data
