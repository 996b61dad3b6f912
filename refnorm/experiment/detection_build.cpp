#include <algorithm>
#include <filesystem>
#include <numeric>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/base/weights_file.h>
#include <refnorm/data/detection_loader.h>
#include <refnorm/experiment/build.h>
#include <refnorm/experiment/data_sets.h>
#include <refnorm/experiment/detection_build.h>
#include <refnorm/experiment/detection_task.h>
#include <refnorm/norms/norm_spec.h>

namespace refnorm::experiment {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDetectors = "mask_rcnn-";

const DetectorKind& detector_kind(const std::string& name) {
  static const std::vector<DetectorKind> kinds = detector_kinds();
  std::vector<std::string> names;
  for (const DetectorKind& kind : kinds) {
    if (kind.name == name) return kind;
    names.push_back(kind.name);
  }
  user_error("model: '{}' is not known{}", printable(name), suggestion(name, names));
}

/// annotations/instances_NAME.json and the pictures in NAME/, as COCO lies on a disk.
struct Half {
  fs::path annotations, pictures;
};

Half find_half(const fs::path& root, const std::string& begins, const std::string& wanted) {
  const fs::path folder = root / "annotations";
  if (!wanted.empty()) return {folder / ("instances_" + wanted + ".json"), root / wanted};
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".json" && name.starts_with("instances_" + begins))
      found.push_back(name.substr(std::string("instances_").size()));
  }
  std::sort(found.begin(), found.end());
  if (found.empty())
    user_error("{}: no instances_{}*.json there, expected a data set as COCO's lies on a disk",
               folder.string(), begins);
  if (found.size() > 1)
    user_error("{}: instances_{} are there, expected data.{} to say which", folder.string(),
               join(found, ".json, instances_") + ".json", begins);
  return {folder / ("instances_" + found[0] + ".json"), root / found[0]};
}

data::DetectionOptions set_options(const Recipe& recipe, bool training) {
  if (recipe.data.short_side > recipe.data.long_side)
    user_error("data.short_side: {} is more than data.long_side, {}", recipe.data.short_side,
               recipe.data.long_side);
  data::DetectionOptions options;
  options.short_side = recipe.data.short_side;
  options.long_side = recipe.data.long_side;
  options.flip = recipe.data.flip;
  options.look.channels_last = compute_of(recipe).channels_last;
  options.seed = static_cast<std::uint64_t>(recipe.run.seed);
  options.empty = training && recipe.data.empty == "drop" ? data::DetectionOptions::Empty::kDrop
                                                          : data::DetectionOptions::Empty::kKeep;
  options.on_error = recipe.data.on_error == "skip" ? data::OnError::kSkip : data::OnError::kStop;
  return options;
}

DetectionSplits split(const Recipe& recipe, const Half& half, data::CocoInstances all) {
  const auto count = static_cast<std::int64_t>(all.images.size());
  if (recipe.data.validation >= count)
    user_error("data.validation: {} pictures, {} has {}", recipe.data.validation, half.annotations.string(),
               count);
  std::vector<std::int64_t> order = RandomStream(0, "validation").permutation(count);
  const std::vector<std::int64_t> held(order.begin(), order.begin() + recipe.data.validation);
  order.erase(order.begin(), order.begin() + recipe.data.validation);
  if (recipe.data.samples > static_cast<std::int64_t>(order.size()))
    user_error("data.samples: {} pictures, {} are left of {}", recipe.data.samples, order.size(),
               half.annotations.string());
  if (recipe.data.samples > 0) order.resize(static_cast<std::size_t>(recipe.data.samples));
  DetectionSplits splits;
  const std::string origin = half.annotations.string();
  // What is wrong with the file is told once, of the part that is trained on.
  data::CocoInstances train = data::of_images(all, order);
  train.problems = std::move(all.problems);
  if (!held.empty()) {
    splits.validation = std::make_shared<data::DetectionSet>(data::of_images(all, held), half.pictures,
                                                             set_options(recipe, /*training=*/false), origin);
  }
  splits.train = std::make_shared<data::DetectionSet>(std::move(train), half.pictures,
                                                      set_options(recipe, /*training=*/true), origin);
  return splits;
}

/// In place of the reference pictures' batch there are sizes, too.
data::DetectionBatch reference_pictures(const data::DetectionSet& train, const ReferenceSettings& how,
                                        std::uint64_t seed, std::uint64_t which) {
  if (how.size > train.size())
    user_error("reference.size: {} pictures, the training set has {}", how.size, train.size());
  if (how.sampler != "iid")
    user_error("reference.sampler: '{}', expected iid for pictures with objects", printable(how.sampler));
  std::vector<std::int64_t> order = RandomStream(seed, "reference", which).permutation(train.size());
  order.resize(static_cast<std::size_t>(how.size));
  return data::load_batch(train, {order, {}});
}

}  // namespace

std::vector<DetectorKind> detector_kinds() {
  std::vector<DetectorKind> kinds;
  for (const std::int64_t depth : {50, 18, 34, 101}) {
    kinds.push_back(
        {fmt::format("{}r{}-c4", kDetectors, depth),
         fmt::format("boxes and masks of objects: conv4 of ResNet-{} as features, conv5 on each region",
                     depth),
         "He et al. 2017, as Detectron's C4 model", depth});
  }
  return kinds;
}

bool is_detection(const Recipe& recipe) {
  return recipe.model.kind.starts_with(kDetectors);
}

DetectionSplits load_detection_splits(const Recipe& recipe) {
  if (recipe.data.kind != "coco")
    user_error("data.kind: '{}', expected coco for {}", recipe.data.kind, recipe.model.kind);
  if (!recipe.data.domains.empty() || !recipe.data.groups.empty())
    user_error("data.{}: is of labelled pictures, {} detects objects",
               recipe.data.domains.empty() ? "groups" : "domains", recipe.model.kind);
  const Half half = find_half(recipe.data.path, "train", recipe.data.train);
  DetectionSplits splits = split(recipe, half, data::read_coco_instances(half.annotations));
  splits.test = load_detection_test(recipe);
  if (splits.test->classes() != splits.train->classes())
    user_error("{}: has {} categories, its training part {}", recipe.data.path, splits.test->classes(),
               splits.train->classes());
  return splits;
}

PictureSources sources_of(const DetectionSplits& splits) {
  PictureSources sources;
  for (const auto& set : {splits.train, splits.validation, splits.test}) {
    if (set != nullptr) sources.sets.emplace_back([set] { return set->unreadable(); });
  }
  sources.train = splits.train->pictures().filename().string();
  sources.val = splits.test->pictures().filename().string();
  return sources;
}

std::shared_ptr<const data::DetectionSet> load_detection_test(const Recipe& recipe) {
  const Half half = find_half(recipe.data.path, "val", recipe.data.val);
  return data::load_detection_set(half.annotations, half.pictures, set_options(recipe, /*training=*/false));
}

models::MaskRcnn make_detector(const Recipe& recipe, std::int64_t classes) {
  const DetectionSettings& wanted = recipe.detection;
  const auto factory = [](const std::string& spec) {
    return norm_factory(NormSpec::parse(with_steps(spec, 1'000'000)));
  };
  models::MaskRcnnOptions options;
  options.depth = detector_kind(recipe.model.kind).depth;
  options.classes = classes;
  options.norm = factory(recipe.arms.at(0).norm);
  if (!wanted.region_norm.empty()) options.region_norm = factory(wanted.region_norm);
  if (wanted.head_norm != "none") options.head_norm = factory(wanted.head_norm);
  options.zero_init_residual = recipe.model.zero_init_residual;
  options.frozen_stages = wanted.frozen_stages;
  options.proposals.anchors.sizes = wanted.anchor_sizes;
  options.proposals.anchors_per_picture = wanted.anchors;
  options.proposals.training = {wanted.proposals_before, wanted.proposals};
  options.proposals.detecting = {wanted.test_proposals_before, wanted.test_proposals};
  options.regions.per_picture = wanted.regions;
  options.regions.grid.height = options.regions.grid.width = wanted.region_size;
  options.regions.mask_channels = wanted.mask_channels;
  options.detections.score = wanted.score;
  options.detections.suppress = wanted.suppress;
  options.detections.most = wanted.most;
  return models::MaskRcnn(options);
}

std::unique_ptr<data::Sampler> detection_sampler(const Recipe& recipe, const data::DetectionSet& train) {
  if (recipe.sampler.kind != "iid")
    user_error("sampler.kind: '{}', expected iid for pictures with objects", printable(recipe.sampler.kind));
  return data::orientation_sampler(train, recipe.train.batch_size,
                                   static_cast<std::uint64_t>(recipe.run.seed));
}

DetectionAssembly::DetectionAssembly(const Recipe& recipe, std::shared_ptr<train::Group> group)
    : group_(std::move(group)), splits_(load_detection_splits(recipe)), compute_(compute_of(recipe)) {
  if (recipe.train.sync_statistics)
    user_error("train.sync_statistics: is of networks that score classes, {} detects objects",
               recipe.model.kind);
  const auto rank = static_cast<std::uint64_t>(group_->rank());
  const auto seed = static_cast<std::uint64_t>(recipe.run.seed);
  sampler_ = detection_sampler(recipe, *splits_.train);
  plan_ = step_plan(recipe, *sampler_);
  model_ = make_detector(recipe, splits_.train->classes());
  model_->initialize(seed);
  if (const std::string file = weights_of(recipe); !file.empty())
    models::load_backbone(*model_, read_weights(file), file);
  compute_.place(*model_);
  const data::DetectionBatch pictures =
      reference_pictures(*splits_.train, recipe.reference, seed, recipe.reference.per_process ? rank : 0);
  const auto model = model_.ptr();
  const std::vector<ops::PictureSize> sizes = sizes_of(pictures);
  reference_ = std::make_unique<ReferenceKeeper>(
      ModelView(*model,
                [model, sizes](const torch::Tensor& images) { return model->forward(images, sizes); }),
      compute_.place(pictures.images));
  torch::manual_seed(static_cast<std::int64_t>(stream_seed(seed, "training", rank)));
}

bool DetectionAssembly::has_batch_statistics() {
  for (const auto& [name, layer] : find_layers<BatchStatisticsLayer>(*model_)) {
    if (!layer->kept_frozen()) return true;
  }
  return false;
}

Json detection_setup(const Recipe& recipe, const DetectionSplits& splits) {
  Json setup{{"model", recipe.model.kind},
             {"data", recipe.data.kind},
             {"training_pictures", splits.train->size()},
             {"validation_pictures", splits.validation ? splits.validation->size() : 0},
             {"test_pictures", splits.test->size()},
             {"categories", splits.train->classes()},
             {"short_side", recipe.data.short_side},
             {"epochs", recipe.train.epochs},
             {"batch_size", recipe.train.batch_size},
             {"accumulate", recipe.train.accumulate},
             {"regions_per_picture", recipe.detection.regions},
             {"frozen_stages", recipe.detection.frozen_stages},
             {"head_norm", recipe.detection.head_norm},
             {"lr", recipe.train.lr},
             {"momentum", recipe.train.momentum},
             {"weight_decay", recipe.train.weight_decay},
             {"schedule", recipe.train.schedule},
             {"milestones", recipe.train.milestones},
             {"precision", recipe.train.precision},
             {"reference_size", recipe.reference.size},
             {"population_reading", recipe.population.reading},
             {"test_error", "100 - box AP"}};
  if (recipe.run.processes > 1) setup["processes"] = recipe.run.processes;
  return setup;
}

}  // namespace refnorm::experiment
