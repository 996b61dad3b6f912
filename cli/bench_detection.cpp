#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/base/timing.h>
#include <refnorm/experiment/build.h>
#include <refnorm/models/mask_rcnn/mask_rcnn.h>
#include <refnorm/models/mask_rcnn/region_losses.h>
#include <refnorm/models/resnet.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/norm_spec.h>
#include <refnorm/ops/instruction_set.h>
#include <refnorm/ops/peak_memory.h>
#include <refnorm/train/autocast.h>

#include "bench.h"

namespace refnorm::cli {
namespace {

using torch::Tensor;

struct Arguments {
  std::string norm = "frozen_bn", precision = "fp32", device;
  std::vector<std::string> what{"operators", "training", "inference"};
  std::int64_t depth = 50, batch_size = 1, height = 800, width = 1333, regions = 512, proposals = 1000,
               truths = 10, rounds = 3, threads = 0;
};

/// Seconds of each part, one entry a round; parts in the order of their first time.
class Times {
 public:
  explicit Times(torch::Device device) : device_(device) {}
  template <class Work>
  auto of(const std::string& part, const Work& work) {
    const Stopwatch watch;
    if constexpr (std::is_void_v<decltype(work())>) {
      work();
      finish();
      add(part, watch.seconds());
    } else {
      auto result = work();
      finish();
      add(part, watch.seconds());
      return result;
    }
  }
  void forget() { parts_.clear(); }  // a round that warmed up
  Json json() const {
    Json out = Json::array();
    for (const auto& [part, seconds] : parts_) out.push_back({{"part", part}, {"seconds", seconds}});
    return out;
  }

 private:
  /// What a GPU was asked for.
  void finish() const {
    if (device_.is_cuda()) torch::cuda::synchronize();
  }
  void add(const std::string& part, double seconds) {
    const auto found =
        std::find_if(parts_.begin(), parts_.end(), [&](const auto& p) { return p.first == part; });
    if (found == parts_.end())
      parts_.emplace_back(part, std::vector<double>{seconds});
    else
      found->second.push_back(seconds);
  }
  torch::Device device_;
  std::vector<std::pair<std::string, std::vector<double>>> parts_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

/// Boxes of many sizes in the picture.
Tensor random_boxes(std::int64_t count, ops::PictureSize size) {
  const Tensor whole = torch::tensor({static_cast<float>(size.width), static_cast<float>(size.height)});
  const Tensor corner = torch::rand({count, 2}) * 0.9 * whole;
  return ops::clip_boxes(torch::cat({corner, corner + 8 + torch::rand({count, 2}).square() * 0.5 * whole}, 1),
                         size);
}

/// The network and its pictures.
class Detector {
 public:
  Detector(const Arguments& arguments, const train::Compute& compute)
      : arguments_(arguments), compute_(compute), model_(options_of(arguments)) {
    torch::manual_seed(1);
    model_->initialize(1);
    {
      // Proposals are the anchors, and every class scores alike: as many proposals and detections as may be,
      // whatever drawn weights make of the pictures.
      const torch::NoGradGuard no_grad;
      model_->rpn->bbox_pred->weight.zero_();
      model_->rpn->bbox_pred->bias.zero_();
      model_->head->cls_score->weight.zero_();
      model_->head->bbox_pred->weight.zero_();
    }
    compute_.place(*model_);
    const auto padded = [](std::int64_t side) { return (side + 31) / 32 * 32; };
    images_ = compute_.place(
        torch::randn({arguments.batch_size, 3, padded(arguments.height), padded(arguments.width)}));
    size_ = {arguments.height, arguments.width};
    sizes_.assign(arguments.batch_size, size_);
    for (std::int64_t i = 0; i < arguments.batch_size; ++i) {
      models::Rasterize half = [](std::int64_t, const auto&, std::int64_t, std::span<float> out) {
        std::fill(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(out.size() / 2), 1.0F);
      };
      targets_.push_back({random_boxes(arguments.truths, size_),
                          torch::randint(1, 81, {arguments.truths}, torch::kLong),
                          {},
                          half});
    }
    const train::Bfloat16Scope scope(compute_.bfloat16, compute_.device);
    ReferenceKeeper(model_, images_).refresh();  // where a norm has one
  }

  void operators(Times& times) const;
  void training(Times& times);
  void inference(Times& times);

 private:
  static models::MaskRcnnOptions options_of(const Arguments& arguments) {
    models::MaskRcnnOptions options;
    options.norm = norm_factory(NormSpec::parse(arguments.norm));
    options.depth = arguments.depth;
    options.regions.per_picture = arguments.regions;
    options.proposals.detecting.after = arguments.proposals;
    return options;
  }
  Tensor conv5_of(const Tensor& rois) const {
    Tensor shortcut_of_x;
    return models::through_stage(model_->head->layer4, rois, shortcut_of_x);
  }

  Arguments arguments_;
  train::Compute compute_;
  models::MaskRcnn model_;
  Tensor images_;
  ops::PictureSize size_;
  std::vector<ops::PictureSize> sizes_;
  std::vector<models::Target> targets_;
};

/// On numbers of the shapes that R50-C4 has.
void Detector::operators(Times& times) const {
  torch::manual_seed(2);
  const auto type = compute_.bfloat16 ? torch::kBFloat16 : torch::kFloat;
  const std::int64_t rows = images_.size(2) / 16;
  const std::int64_t columns = images_.size(3) / 16;
  const Tensor map = compute_.place(torch::randn({1, 1024, rows, columns})).to(type).requires_grad_(true);
  const Tensor regions = models::regions_of({random_boxes(arguments_.regions, size_)});
  const Tensor y = times.of("RoIAlign", [&] { return ops::roi_align(map, regions, {14, 14, 1.0 / 16}); });
  const Tensor dy = torch::ones_like(y);
  times.of("RoIAlign, backward", [&] { y.backward(dy); });

  const Tensor anchors = times.of("anchors", [&] { return ops::make_anchors({}, rows, columns); });
  const Tensor truths = targets_[0].boxes;
  times.of("IoU of anchors", [&] { ops::box_iou(anchors, truths); });
  times.of("matching of anchors", [&] { ops::match_boxes(anchors, truths, {0.7, 0.3, true}); });
  const Tensor boxes = random_boxes(12000, size_);
  const Tensor scores = torch::rand({12000});
  times.of("decoding of 12000 boxes", [&] { ops::decode_boxes(torch::zeros({12000, 4}), boxes); });
  times.of("suppression of 12000 boxes", [&] { ops::suppress(boxes, scores, {}, 0.7, 2000); });
  const Tensor groups = torch::randint(80, {12000}, torch::kLong);
  times.of("suppression by class", [&] { ops::suppress(boxes, scores, groups, 0.5, 100); });
  const Tensor masks = torch::rand({100, 14, 14});
  times.of("pasting of 100 masks", [&] { ops::paste_masks(masks, boxes.slice(0, 0, 100), size_); });
}

/// MaskRcnn::losses(), part by part.
void Detector::training(Times& times) {
  model_->train();
  model_->zero_grad();
  const models::MaskRcnnOptions& options = model_->options;
  RandomStream stream(1, "sample");
  std::optional<train::Bfloat16Scope> scope(std::in_place, compute_.bfloat16, compute_.device);
  const Tensor features = times.of("backbone", [&] { return model_->backbone(images_); });
  const models::AnchorScores anchors = times.of("RPN", [&] { return model_->rpn(features); });
  const auto first = times.of(
      "RPN, losses", [&] { return models::proposal_losses(anchors, sizes_, targets_, options, stream); });
  const auto proposals = times.of("proposals", [&] {
    return models::propose(anchors, sizes_, options.proposals, options.proposals.training);
  });
  const auto sample =
      times.of("sampling", [&] { return models::sample_regions(proposals, targets_, options, stream); });
  const Tensor rois = times.of("RoIAlign", [&] {
    return ops::roi_align(features, sample.regions, model_->head->options.regions.grid);
  });
  const Tensor conv5 = times.of("conv5", [&] { return conv5_of(rois); });
  const Tensor more = times.of("heads, losses", [&] {
    const auto box = models::box_losses(model_->head->score(conv5), sample, options.regions);
    const auto masks = models::mask_targets(sample, targets_, 2 * conv5.size(2));
    const Tensor shown = conv5.index_select(0, sample.foreground.to(conv5.device()));
    const Tensor mask = models::mask_loss(model_->head->masks(shown),
                                          sample.labels.index_select(0, sample.foreground), masks.masks);
    return box.classes + box.boxes + mask;
  });
  scope.reset();
  times.of("backward", [&] { (first.objectness + first.boxes + more).backward(); });
}

/// MaskRcnn::detect(), part by part; with as many detections as it may make, whatever they score.
void Detector::inference(Times& times) {
  const torch::NoGradGuard no_grad;
  model_->eval();
  models::MaskRcnnOptions options = model_->options;
  options.detections.score = 0;
  const train::Bfloat16Scope scope(compute_.bfloat16, compute_.device);
  const Tensor features = times.of("backbone", [&] { return model_->backbone(images_); });
  const models::AnchorScores anchors = times.of("RPN", [&] { return model_->rpn(features); });
  const auto proposals = times.of("proposals", [&] {
    return models::propose(anchors, sizes_, options.proposals, options.proposals.detecting);
  });
  const Tensor own = features.narrow(0, 0, 1);
  const auto through_head = [&](const Tensor& boxes, const auto& use) {
    for (const Tensor& some : boxes.split(options.detections.regions_at_once))
      use(model_->head->forward(own, models::regions_of({some})));
  };
  std::vector<Tensor> classes;
  std::vector<Tensor> deltas;
  times.of("RoIAlign, conv5, box head", [&] {
    through_head(proposals[0], [&](const Tensor& conv5) {
      const models::RegionScores scores = model_->head->score(conv5);
      classes.push_back(scores.classes.to(torch::kCPU));
      deltas.push_back(scores.deltas.to(torch::kCPU));
    });
  });
  const models::Detections found = times.of("choice of detections", [&] {
    return models::choose_detections({torch::cat(classes), torch::cat(deltas)}, proposals[0], size_, options);
  });
  std::vector<Tensor> masks;
  times.of("RoIAlign, conv5, mask head", [&] {
    through_head(found.boxes, [&](const Tensor& conv5) {
      const Tensor own_masks = model_->head->masks(conv5);
      masks.push_back(torch::sigmoid(own_masks.select(1, 1)));
    });
  });
  times.of("pasting of masks", [&] { ops::paste_masks(torch::cat(masks), found.boxes, size_); });
}

std::string table(const Json& section) {
  std::string text;
  double sum = 0;
  for (const Json& part : section) {
    const auto seconds = part.at("seconds").get<std::vector<double>>();
    sum += median(seconds);
    text +=
        fmt::format("{:<30} {:>10.2f} {:>22}\n", part.at("part").get<std::string>(), median(seconds) * 1e3,
                    fmt::format("{:.2f} to {:.2f}", *std::min_element(seconds.begin(), seconds.end()) * 1e3,
                                *std::max_element(seconds.begin(), seconds.end()) * 1e3));
  }
  return text + fmt::format("{:<30} {:>10.2f}\n", "sum", sum * 1e3);
}

Answer run(const Arguments& arguments) {
  experiment::Recipe machine;
  machine.model.kind = fmt::format("resnet{}", arguments.depth);
  machine.train.precision = arguments.precision;
  machine.train.memory_format = arguments.precision == "bf16" ? "channels_last" : "contiguous";
  if (!arguments.device.empty()) machine.run.device = arguments.device;
  machine.run.threads = arguments.threads > 0 ? arguments.threads : experiment::core_count();
  experiment::prepare_process(machine);
  const train::Compute compute = experiment::compute_of(machine);
  const ops::PeakMemory peak(compute.device.type());
  Detector detector(arguments, compute);
  Answer answer{
      {{"depth", arguments.depth},
       {"norm", arguments.norm},
       {"precision", arguments.precision},
       {"batch_size", arguments.batch_size},
       {"height", arguments.height},
       {"width", arguments.width},
       {"regions", arguments.regions},
       {"proposals", arguments.proposals},
       {"threads", machine.run.threads},
       {"machine", experiment::machine_description(machine)}},
      fmt::format(
          "Mask R-CNN, ResNet-{} C4, {}, {} of {}x{}, {}, {} thread{}, {}; ms, medians of {} rounds\n",
          arguments.depth, arguments.norm,
          arguments.batch_size == 1 ? "a picture" : fmt::format("{} pictures", arguments.batch_size),
          arguments.width, arguments.height, arguments.precision, machine.run.threads,
          machine.run.threads == 1 ? "" : "s", compute.device.is_cuda() ? "cuda" : ops::instruction_set(),
          arguments.rounds),
      0};
  for (const std::string& what : arguments.what) {
    Times times(compute.device);
    for (std::int64_t round = 0; round <= arguments.rounds; ++round) {
      if (what == "operators") detector.operators(times);
      if (what == "training") detector.training(times);
      if (what == "inference") detector.inference(times);
      if (round == 0) times.forget();
    }
    answer.json[what] = times.json();
    answer.text += fmt::format("\n{:<30} {:>10} {:>22}\n{}", what, "ms", "smallest to largest",
                               table(answer.json[what]));
  }
  answer.json["peak_mib"] = static_cast<double>(peak.bytes()) / (1024.0 * 1024.0);
  answer.json["max_rss_mib"] = max_rss_mib();
  answer.text += fmt::format(
      "\nmost MiB: {:.0f} of tensors{}, {:.0f} of the process\n", answer.json["peak_mib"].get<double>(),
      compute.device.is_cuda() ? " on the GPU" : "", answer.json["max_rss_mib"].get<double>());
  return answer;
}

}  // namespace

Command bench_detection_command(CLI::App& parent) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* app = parent.add_subcommand(
      "detection",
      "Seconds of detection's operators, and of the parts of a Mask R-CNN in training and inference");
  app->add_option("--what", arguments->what,
                  "operators, training or inference; as often as wanted (default: all)")
      ->check(CLI::IsMember({"operators", "training", "inference"}));
  app->add_option("--norm", arguments->norm, "The backbone's norm, and conv5's")
      ->type_name("SPEC")
      ->capture_default_str();
  app->add_option("--precision", arguments->precision, "fp32, or bf16 with channels_last")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  const auto number = [&](const char* name, std::int64_t& value, const char* what) {
    app->add_option(name, value, what)->check(CLI::Range(1, 1 << 16))->type_name("N")->capture_default_str();
  };
  app->add_option("--depth", arguments->depth, "Of the ResNet")
      ->check(CLI::IsMember({18, 34, 50, 101}))
      ->capture_default_str();
  number("--batch-size", arguments->batch_size, "Pictures of a training step");
  number("--height", arguments->height, "Of the pictures");
  number("--width", arguments->width, "Of the pictures");
  number("--regions", arguments->regions, "Regions that training draws in a picture");
  number("--proposals", arguments->proposals, "Proposals of a picture in inference");
  number("--truths", arguments->truths, "Instances in a picture");
  number("--rounds", arguments->rounds, "Rounds, after one that warms up");
  add_device(*app, arguments->device);
  app->get_option("--device")->description("Where to compute (default: cpu)");
  add_threads(*app, arguments->threads, "Threads (default: the number of cores)");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace refnorm::cli
