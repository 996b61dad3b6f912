#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/experiment/detection_task.h>
#include <refnorm/experiment/evaluate_detections.h>
#include <refnorm/experiment/found_objects.h>
#include <refnorm/experiment/unreadable.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/mode.h>

namespace refnorm::experiment {
namespace {

using torch::Tensor;

constexpr const char* kRegionStream = "regions";

/// Pictures that are detected in at once: more save nothing, and padding grows.
constexpr std::int64_t kAtOnce = 2;

std::array<std::pair<const char*, Tensor>, 5> parts_of(const models::DetectionLosses& losses) {
  return {{{"objectness", losses.objectness},
           {"proposal_boxes", losses.proposal_boxes},
           {"classes", losses.classes},
           {"boxes", losses.boxes},
           {"masks", losses.masks}}};
}

}  // namespace

std::vector<ops::PictureSize> sizes_of(const data::DetectionBatch& batch) {
  std::vector<ops::PictureSize> sizes;
  for (const data::DetectionTargets& target : batch.targets)
    sizes.push_back({target.size.height, target.size.width});
  return sizes;
}

std::vector<models::Target> targets_of(const data::DetectionBatch& batch) {
  std::vector<models::Target> targets;
  for (const data::DetectionTargets& given : batch.targets) {
    models::Target target;
    target.boxes = given.boxes;
    target.labels = given.labels;
    const Tensor crowd = given.crowd.to(torch::kByte).contiguous();
    target.crowd.assign(crowd.data_ptr<std::uint8_t>(), crowd.data_ptr<std::uint8_t>() + crowd.numel());
    const bool masks =
        std::none_of(given.masks.begin(), given.masks.end(), [](const auto& one) { return one->empty(); });
    if (masks) {
      target.rasterize = [&given](std::int64_t instance, const std::array<double, 4>& box, std::int64_t side,
                                  std::span<float> out) {
        std::vector<std::uint8_t> cells(out.size());
        crop_mask(*given.masks[static_cast<std::size_t>(instance)], given.place, box, side, cells);
        std::copy(cells.begin(), cells.end(), out.begin());
      };
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

DetectionTask::DetectionTask(models::MaskRcnn model, ReferenceKeeper& reference, DetectionData data,
                             std::uint64_t seed, const train::Compute& compute,
                             std::shared_ptr<train::Group> group)
    : model_(std::move(model)),
      reference_(reference),
      data_(std::move(data)),
      seed_(seed),
      compute_(compute),
      group_(std::move(group)) {}

void DetectionTask::begin(std::int64_t first, std::int64_t total) {
  reference_.set_steps(first);
  first_ = first;
  passes_ = 0;
  const data::Share share = share_of(*group_);
  loader_.emplace(*data_.train, (total - first) * data_.plan.per_step / share.of,
                  data::training_plan(*data_.sampler, data_.plan, first, share), compute_.workers);
}

/// The number in the whole run, over all processes, of the next batch.
std::uint64_t DetectionTask::next_batch() {
  const std::int64_t own = data_.plan.per_step / group_->size();
  const std::int64_t step = first_ + passes_ / own;
  const std::int64_t which = passes_ % own * group_->size() + group_->rank();
  ++passes_;
  return static_cast<std::uint64_t>(data_.plan.batches_before(step) + which);
}

train::Pass DetectionTask::pass(bool first_of_step, train::StepClock& clock) {
  clock.enter(train::kData);
  const data::DetectionBatch batch = loader_->next().value();
  const std::vector<models::Target> targets = targets_of(batch);
  const Tensor images = compute_.place(batch.images);
  RandomStream stream(seed_, kRegionStream, next_batch());
  clock.enter(train::kReference);
  if (first_of_step) {
    // A scope of its own: within one, autocast keeps the weights that it turned into bfloat16, here without
    // gradient.
    const train::Bfloat16Scope precision(compute_.bfloat16, compute_.device);
    reference_.prepare();
  }
  clock.enter(train::kForward);
  models::DetectionLosses losses;
  {
    const train::Bfloat16Scope precision(compute_.bfloat16, compute_.device);
    losses = model_->losses(images, sizes_of(batch), targets, stream);
  }
  clock.enter(train::kLoss);
  train::Pass done;
  done.loss = losses.total();
  const auto value = done.loss.item<double>();
  const std::int64_t pictures = batch.images.size(0);
  done.tally.add(pictures, 0, value);
  for (const auto& [name, part] : parts_of(losses))
    done.tally.part_sums[name] = part.item<double>() * static_cast<double>(pictures);
  if (std::isfinite(value)) return done;
  done.broken = torch::isfinite(batch.images).all().item<bool>() ? "loss" : "input";
  for (const auto& [name, part] : parts_of(losses)) {
    if (!std::isfinite(part.item<double>())) done.broken = fmt::format("loss of {}", name);
  }
  return done;
}

double DetectionTask::validate(Json& line) {
  {
    const train::Bfloat16Scope precision(compute_.bfloat16, compute_.device);
    reference_.prepare_evaluation();
  }
  const Json figures = detection_figures(
      *data_.validation, detect_all(model_, *data_.validation, Statistics::kByMode, compute_, *group_),
      torch::get_num_threads());
  line["validation_ap"] = {{"bbox", figures["bbox"]["AP"]}, {"segm", figures["segm"]["AP"]}};
  const double error = 100 - 100 * std::max(0.0, figures["bbox"]["AP"].get<double>());
  line["validation_error_pct"] = error;
  return error;
}

void DetectionTask::describe_steps(const metrics::Tally& tally, std::int64_t /*first*/, std::int64_t /*last*/,
                                   Json& line) const {
  for (const auto& [part, sum] : tally.part_sums) line["losses"][part] = tally.mean_part(part);
}

void DetectionTask::describe_epoch(const metrics::Tally& tally, Json& line) const {
  describe_steps(tally, 0, 0, line);
}

std::vector<data::CocoDetection> detect_all(models::MaskRcnn model, const data::DetectionSet& set,
                                            Statistics statistics, const train::Compute& compute,
                                            train::Group& group) {
  const torch::NoGradGuard no_grad;
  const train::Mode mode(*model, /*training=*/false, statistics);
  // Pictures of one orientation together.
  std::vector<std::int64_t> order(static_cast<std::size_t>(set.size()));
  std::iota(order.begin(), order.end(), 0);
  const std::vector<std::int64_t> wide = set.orientations();
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return wide[static_cast<std::size_t>(a)] < wide[static_cast<std::size_t>(b)];
  });
  const data::Share share = share_of(group);
  data::DetectionLoader loader(
      set, data::evaluation_batches(set.size(), kAtOnce, share),
      [&](std::int64_t own) {
        const std::int64_t batch = own * share.of + share.rank;
        const auto first = order.begin() + batch * kAtOnce;
        const auto last = order.begin() + std::min((batch + 1) * kAtOnce, set.size());
        return data::BatchOrder{{first, last}, {}, data::BatchOrder::Missing::kLeaveOut};
      },
      compute.workers);
  const std::vector<std::int64_t> ids = category_ids(set);
  std::vector<data::CocoDetection> all;
  while (const auto batch = loader.next()) {
    std::vector<models::Detections> found;
    {
      const train::Bfloat16Scope precision(compute.bfloat16, compute.device);
      found = model->detect(compute.place(batch->images), sizes_of(*batch));
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
      const data::DetectionTargets& of = batch->targets[i];
      for (data::CocoDetection& one : in_file(found[i], {of.original, of.size, of.image_id}, ids))
        all.push_back(std::move(one));
    }
  }
  if (group.size() == 1) return all;
  set.add_unreadable(found_by_all({{[&set] { return set.unreadable(); }}}, group));
  const std::string own = data::coco_results_text(all);
  all.clear();
  for (const std::string& text : group.gather(own)) {
    for (data::CocoDetection& one : data::parse_coco_results(text, "another process's detections"))
      all.push_back(std::move(one));
  }
  return all;
}

Json detection_figures(const data::DetectionSet& set, const std::vector<data::CocoDetection>& detections,
                       std::int64_t threads) {
  Json figures;
  const std::shared_ptr<const data::CocoInstances> truth = set.readable();
  const auto& annotations = truth->annotations;
  const bool masks =
      std::none_of(annotations.begin(), annotations.end(), [](const auto& one) { return one.mask.empty(); });
  for (const auto& [name, overlap] :
       {std::pair("bbox", metrics::OverlapOf::kBoxes), std::pair("segm", metrics::OverlapOf::kMasks)}) {
    if (overlap == metrics::OverlapOf::kMasks && !masks) continue;
    metrics::CocoOptions options;
    options.overlap = overlap;
    options.threads = threads;
    const metrics::CocoResult result = evaluate_detections(*truth, detections, options, {});
    for (std::size_t i = 0; i < result.figures.size(); ++i)
      figures[name][metrics::kCocoFigures[i]] = result.figures[i];
  }
  if (!masks) figures["segm"] = {{"AP", -1.0}, {"AP50", -1.0}, {"AP75", -1.0}};
  return figures;
}

PopulationStatistics collect_detection_population(models::MaskRcnn model, ReferenceKeeper& reference,
                                                  const DetectionData& data, std::int64_t epoch,
                                                  std::int64_t batches, std::uint64_t seed,
                                                  const train::Compute& compute, train::Group& group) {
  const torch::NoGradGuard no_grad;
  const train::Mode mode(*model, /*training=*/true, Statistics::kByMode);
  {
    const train::Bfloat16Scope precision(compute.bfloat16, compute.device);
    reference.refresh();
  }
  PopulationPass pass(*model);
  const data::Share share = share_of(group);
  const auto place_of = [&](std::int64_t own) { return own * share.of + share.rank; };
  data::DetectionLoader loader(
      *data.train, share.part(std::min(batches, data.sampler->batches_per_epoch())),
      [&](std::int64_t own) {
        return data::BatchOrder{data.sampler->batch(epoch, place_of(own)), epoch};
      },
      compute.workers);
  for (std::int64_t own = 0; const auto batch = loader.next(); ++own) {
    const train::Bfloat16Scope precision(compute.bfloat16, compute.device);
    RandomStream stream(seed, "population regions", static_cast<std::uint64_t>(place_of(own)));
    model->losses(compute.place(batch->images), sizes_of(*batch), targets_of(*batch), stream);
  }
  if (group.size() > 1) pass.join([&](const Tensor& own) { return group.gather(own); });
  return pass.finish();
}

}  // namespace refnorm::experiment
