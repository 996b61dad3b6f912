#include <map>
#include <set>

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/optim/adam.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/models/resnet.h>
#include <refnorm/norms/batch_statistics.h>
#include <refnorm/norms/capture.h>
#include <refnorm/norms/reference_batch_norm.h>
#include <refnorm/ops/tap.h>

#include "tests/models/small_mask_rcnn.h"
#include "tests/support/tensors.h"

namespace refnorm::models {
namespace {

using refnorm::testing::contains;
using refnorm::testing::distance;
using refnorm::testing::Rectangles;
using refnorm::testing::small_options;
using refnorm::testing::user_error_of;
using torch::Tensor;

DetectionLosses losses_of(MaskRcnn& model, const Rectangles& data, std::uint64_t seed = 1) {
  RandomStream stream(seed, "sample");
  return model->losses(data.images, data.sizes, data.targets, stream);
}

bool finite(const DetectionLosses& losses) {
  return torch::isfinite(torch::stack({losses.objectness, losses.proposal_boxes, losses.classes, losses.boxes,
                                       losses.masks}))
      .all()
      .item<bool>();
}

std::set<std::string> names_of(const torch::nn::Module& module) {
  std::set<std::string> names;
  for (const auto& item : module.named_parameters()) names.insert(item.key());
  for (const auto& item : module.named_buffers()) names.insert(item.key());
  return names;
}

TEST(MaskRcnn, NamesItsResNetAsTorchvisionDoes) {
  MaskRcnn model(small_options("bn"));
  std::set<std::string> expected{
      "rpn.conv.weight",         "rpn.conv.bias",        "rpn.cls_logits.weight",   "rpn.cls_logits.bias",
      "rpn.bbox_pred.weight",    "rpn.bbox_pred.bias",   "head.cls_score.weight",   "head.cls_score.bias",
      "head.bbox_pred.weight",   "head.bbox_pred.bias",  "head.mask_deconv.weight", "head.mask_deconv.bias",
      "head.mask_logits.weight", "head.mask_logits.bias"};
  for (const std::string& name : names_of(*ResNet(18, ModelOptions{model->options.norm, 3, 10, 64}))) {
    if (name.starts_with("layer4."))
      expected.insert("head." + name);
    else if (!name.starts_with("fc."))
      expected.insert("backbone." + name);
  }
  EXPECT_EQ(names_of(*model), expected);
}

// Detectron's: 15 anchors, 81 classes with the background, boxes and masks of each, a mask of 14x14.
TEST(MaskRcnn, HasDetectronsShapes) {
  MaskRcnnOptions options;
  options.norm = norm_factory(NormSpec::parse("frozen_bn"));
  MaskRcnn model(options);
  const auto shapes = [&](const char* name) { return model->named_parameters()[name].sizes().vec(); };
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(shapes("rpn.conv.weight"), (Shape{1024, 1024, 3, 3}));
  EXPECT_EQ(shapes("rpn.cls_logits.weight"), (Shape{15, 1024, 1, 1}));
  EXPECT_EQ(shapes("rpn.bbox_pred.weight"), (Shape{60, 1024, 1, 1}));
  EXPECT_EQ(shapes("head.cls_score.weight"), (Shape{81, 2048}));
  EXPECT_EQ(shapes("head.bbox_pred.weight"), (Shape{324, 2048}));
  EXPECT_EQ(shapes("head.mask_deconv.weight"), (Shape{2048, 256, 2, 2}));
  EXPECT_EQ(shapes("head.mask_logits.weight"), (Shape{81, 256, 1, 1}));
  const torch::NoGradGuard no_grad;
  model->eval();
  const Tensor features = model->backbone(torch::zeros({1, 3, 64, 80}));
  EXPECT_EQ(features.sizes().vec(), (Shape{1, 1024, 4, 5}));
  const Tensor conv5 = model->head->forward(features, torch::tensor({{0.0F, 0.0F, 0.0F, 30.0F, 40.0F}}));
  EXPECT_EQ(conv5.sizes().vec(), (Shape{1, 2048, 7, 7}));
  EXPECT_EQ(model->head->masks(conv5).sizes().vec(), (Shape{1, 81, 14, 14}));
}

TEST(MaskRcnn, TrainsUnderEveryNorm) {
  const Rectangles data;
  for (const char* norm : {"none", "bn", "rbn", "rbn:fixed", "rbn:moving", "brn", "ln", "in", "gn:16", "sn",
                           "frozen_bn", "ghost:2"}) {
    MaskRcnnOptions options = small_options(norm);
    options.head_norm = options.norm;
    options.regions.per_picture = 8;
    MaskRcnn model(options);
    model->initialize(1);
    ReferenceKeeper reference(model, data.images.slice(0, 0, 2));
    reference.prepare();
    const DetectionLosses losses = losses_of(model, data);
    EXPECT_TRUE(finite(losses)) << norm;
    losses.total().backward();
    for (const auto& item : model->named_parameters())
      EXPECT_TRUE(item.value().grad().defined()) << norm << " " << item.key();
    model->eval();
    for (const Detections& found : model->detect(data.images.slice(0, 0, 1), {data.sizes[0]})) {
      EXPECT_EQ(found.masks.sizes().vec(), (std::vector<std::int64_t>{found.scores.numel(), 4, 4})) << norm;
      EXPECT_TRUE(torch::isfinite(found.boxes).all().item<bool>()) << norm;
    }
  }
}

TEST(MaskRcnn, RejectsLiveReferencesByName) {
  const Rectangles data;
  MaskRcnnOptions options = small_options("gn:16");
  options.region_norm = norm_factory(NormSpec::parse("rbn:live"));
  MaskRcnn in_head(options);
  EXPECT_EQ(
      user_error_of([&] { losses_of(in_head, data); }),
      "mask_rcnn: the norm 'head.layer4.0.bn1' has a live reference, which cannot ride along where regions "
      "are proposed; expected a refreshed, fixed or moving one");
  MaskRcnn all(small_options("vbn"));
  EXPECT_TRUE(contains(user_error_of([&] { losses_of(all, data); }), "'backbone.bn1'"));
  ReferenceKeeper riding(in_head, data.images);
  EXPECT_TRUE(contains(user_error_of([&] { riding.forward(data.images); }), "live reference"));
}

// The reference of conv5 is the regions that the reference pictures propose: its statistics are those of what
// arrives there, a row a region.
TEST(MaskRcnn, TakesTheReferenceOfTheHeadFromProposedRegions) {
  const Rectangles data;
  MaskRcnn model(small_options("rbn"));
  model->initialize(2);
  std::map<std::string, Tensor> seen;
  {
    const ops::ObserveTaps observe(
        [&](std::string_view name, const Tensor& x) { seen[std::string(name)] = x; });
    capture_reference(model, data.images);
  }
  const Tensor arrived = seen.at("layer4.0.conv1");
  EXPECT_GT(arrived.size(0), 3 * 8);
  EXPECT_LE(arrived.size(0), 3 * 16) << "at most regions.per_picture";
  const auto buffers = model->named_buffers();
  EXPECT_LT(distance(buffers["head.layer4.0.bn1.ref_mean"], arrived.mean({0, 2, 3})), 1e-5);
  EXPECT_LT(distance(buffers["head.layer4.0.bn1.ref_var"], arrived.var({0, 2, 3}, /*unbiased=*/false)), 1e-5);
  EXPECT_LT(distance(buffers["backbone.layer3.0.bn1.ref_mean"], seen.at("layer3.0.conv1").mean({0, 2, 3})),
            1e-5);
  EXPECT_EQ(buffers["head.layer4.1.bn2.num_batches_tracked"].item<std::int64_t>(), 0);
}

TEST(MaskRcnn, LeavesFrozenStagesAlone) {
  const Rectangles data;
  MaskRcnnOptions options = small_options("bn");
  options.frozen_stages = 2;
  MaskRcnn model(options);
  model->initialize(1);
  const auto count = [&](const std::string& name) {
    return model->named_buffers()[name + ".num_batches_tracked"].item<std::int64_t>();
  };
  std::map<std::string, Tensor> seen;
  const ops::ObserveTaps observe(
      [&](std::string_view name, const Tensor& x) { seen[std::string(name)] = x; });
  losses_of(model, data).total().backward();
  for (const auto& item : model->named_parameters()) {
    const bool frozen = item.key().starts_with("backbone.conv1") || item.key().starts_with("backbone.bn1") ||
                        item.key().starts_with("backbone.layer1");
    EXPECT_EQ(item.value().grad().defined(), !frozen) << item.key();
  }
  // By the stored statistics, 0 and 1, though in training.
  EXPECT_LT(distance(seen.at("backbone.bn1"), torch::relu(seen.at("backbone.conv1") / std::sqrt(1 + 1e-5))),
            1e-6);
  EXPECT_EQ(count("backbone.bn1"), 0);
  EXPECT_EQ(count("backbone.layer1.1.bn2"), 0);
  EXPECT_EQ(count("backbone.layer2.0.bn1"), 1);
  EXPECT_EQ(count("head.layer4.0.bn1"), 1);
  const auto copy = std::dynamic_pointer_cast<MaskRcnnImpl>(model->clone());
  EXPECT_FALSE(copy->named_parameters()["backbone.layer1.0.conv1.weight"].requires_grad());
  EXPECT_TRUE(copy->named_parameters()["backbone.layer2.0.conv1.weight"].requires_grad());
}

TEST(MaskRcnn, CanFreezeAllNormsOfItsResNet) {
  const Rectangles data;
  MaskRcnnOptions options = small_options("bn");
  options.frozen_norms = true;
  MaskRcnn model(options);
  losses_of(model, data).total().backward();
  for (const auto& item : model->named_parameters()) {
    const bool norm = contains(item.key(), ".bn") || contains(item.key(), "downsample.1");
    EXPECT_EQ(item.value().grad().defined(), !norm) << item.key();
  }
}

TEST(MaskRcnn, DrawsFromItsStreamOnly) {
  const Rectangles data;
  MaskRcnn model(small_options("gn:16"));
  model->initialize(1);
  const auto total = [&](std::uint64_t seed) { return losses_of(model, data, seed).total().item<float>(); };
  EXPECT_EQ(total(1), total(1));
  EXPECT_NE(total(1), total(2));
}

// Nothing to find, only a crowd, no word on masks: losses are there, and so is every gradient.
TEST(MaskRcnn, LearnsFromPicturesWithoutInstances) {
  Rectangles data;
  data.targets[0] = {torch::empty({0, 4}), torch::empty({0}, torch::kLong), {}, {}};
  data.targets[1].crowd = {1};
  data.targets[2].rasterize = {};
  MaskRcnn model(small_options("gn:16"));
  model->initialize(1);
  const DetectionLosses losses = losses_of(model, data);
  EXPECT_TRUE(finite(losses));
  EXPECT_EQ(losses.masks.item<float>(), 0);
  EXPECT_GT(losses.classes.item<float>(), 0);
  losses.total().backward();
  for (const auto& item : model->named_parameters()) EXPECT_TRUE(item.value().grad().defined()) << item.key();
}

TEST(MaskRcnn, NamesTargetsThatDoNotFit) {
  MaskRcnn model(small_options("gn:16"));
  const auto message = [&](const std::function<void(Rectangles&)>& damage) {
    Rectangles data;
    damage(data);
    return user_error_of([&] { losses_of(model, data); });
  };
  EXPECT_EQ(message([](Rectangles& data) { data.targets.pop_back(); }),
            "mask_rcnn: 2 targets, expected one for each of 3 pictures");
  EXPECT_EQ(message([](Rectangles& data) { data.sizes[1].height = 65; }),
            "mask_rcnn: a picture of 96x65, expected it within the images of 96x64");
  EXPECT_EQ(message([](Rectangles& data) { data.targets[0].labels[1] = 3; }),
            "mask_rcnn: the target of picture 0: labels from 1 to 3, expected 1 to 2");
  EXPECT_EQ(message([](Rectangles& data) { data.targets[1].boxes[0][2] = 48; }),
            "mask_rcnn: the target of picture 1: a box without an area, or that is not finite");
  EXPECT_EQ(message([](Rectangles& data) { data.targets[1].boxes[0][2] = NAN; }),
            "mask_rcnn: the target of picture 1: a box without an area, or that is not finite");
  EXPECT_EQ(message([](Rectangles& data) {
              data.targets[1].crowd = {0, 1};
            }),
            "mask_rcnn: the target of picture 1: 2 flags of crowds, expected 1 or none");
  EXPECT_EQ(user_error_of([] {
              MaskRcnnOptions options = small_options("bn");
              options.frozen_stages = 5;
              MaskRcnn made(options);
            }),
            "mask_rcnn: frozen_stages is 5, expected 0 to 4");
}

/// The state of a ResNet as a file has it.
Safetensors weights_of(const torch::nn::Module& module) {
  Safetensors file;
  const auto add = [&](const auto& items) {
    for (const auto& item : items) {
      const Tensor value = item.value().detach().contiguous();
      file.tensors.emplace_back(
          item.key(), RawTensor{value.scalar_type() == torch::kLong ? "I64" : "F32", value.sizes().vec(),
                                std::string(static_cast<const char*>(value.data_ptr()), value.nbytes())});
    }
  };
  add(module.named_parameters());
  add(module.named_buffers());
  return file;
}

TEST(MaskRcnn, TakesTheWeightsOfAClassifier) {
  const Rectangles data;
  MaskRcnn model(small_options("frozen_bn"));
  ResNet resnet(18, ModelOptions{norm_factory(NormSpec::parse("bn")), 3, 10, 64});
  resnet->initialize(5);
  for (int i = 0; i < 3; ++i) resnet->forward(data.images);  // running statistics
  const BackboneWeights result = load_backbone(*model, weights_of(*resnet), "resnet18.pth");
  EXPECT_EQ(result.ignored.size(), 2 + 20) << "fc and the counters, which frozen norms do not have";
  std::map<std::string, Tensor> seen;
  const ops::ObserveTaps observe(
      [&](std::string_view name, const Tensor& x) { seen[std::string(name)] = x; });
  resnet->eval();
  resnet->forward(data.images);
  EXPECT_LT(distance(model->backbone(data.images), seen.at("layer3.1.bn2")), 1e-5);
  EXPECT_EQ(distance(model->head->layer4->named_parameters()["1.conv2.weight"],
                     resnet->layer4->named_parameters()["1.conv2.weight"]),
            0);
}

TEST(MaskRcnn, NamesWeightsThatDoNotFit) {
  MaskRcnn model(small_options("rbn"));
  ResNet resnet(18, ModelOptions{norm_factory(NormSpec::parse("bn")), 3, 10, 64});
  Safetensors file = weights_of(*resnet);
  EXPECT_NO_THROW(load_backbone(*model, file, "f")) << "references are taken anew";
  const Tensor before = model->backbone->conv1->weight.clone();
  resnet->initialize(8);
  file = weights_of(*resnet);
  const auto layer = std::find_if(file.tensors.begin(), file.tensors.end(),
                                  [](const auto& item) { return item.first == "layer4.1.conv2.weight"; });
  layer->second.shape = {512, 512, 9};
  EXPECT_EQ(user_error_of([&] { load_backbone(*model, file, "f"); }),
            "f: layer4.1.conv2.weight is F32 [512, 512, 9], expected [512, 512, 3, 3]");
  file.tensors.erase(layer);
  EXPECT_EQ(
      user_error_of([&] { load_backbone(*model, file, "f"); }),
      "f: nothing in it for head.layer4.1.conv2.weight, expected the weights of a resnet18 with such norms");
  EXPECT_EQ(distance(model->backbone->conv1->weight, before), 0) << "nothing is changed";
}

/// Operators that profit run in bfloat16.
class Autocast {
 public:
  Autocast() {
    at::autocast::set_cpu_enabled(true);
    at::autocast::set_autocast_cpu_dtype(torch::kBFloat16);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_cpu_enabled(false);
  }
};

// bfloat16 has 8 bits; proposals move by that much, so that other regions may be drawn.
TEST(MaskRcnn, RunsInBfloat16AndChannelsLast) {
  Rectangles data;
  MaskRcnn model(small_options("gn:16"));
  model->initialize(1);
  const DetectionLosses exact = losses_of(model, data);
  data.images = data.images.contiguous(torch::MemoryFormat::ChannelsLast);
  Tensor features;
  const ops::ObserveTaps observe([&](std::string_view name, const Tensor& x) {
    if (name == "head.roi_align") features = x;
  });
  const Autocast bfloat16;
  const DetectionLosses rounded = losses_of(model, data);
  EXPECT_EQ(features.scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(features.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_EQ(rounded.total().scalar_type(), torch::kFloat);
  EXPECT_NEAR(rounded.objectness.item<double>(), exact.objectness.item<double>(), 0.01);
  EXPECT_NEAR(rounded.classes.item<double>(), exact.classes.item<double>(), 0.02);
  EXPECT_NEAR(rounded.masks.item<double>(), exact.masks.item<double>(), 0.05);
  rounded.total().backward();
  EXPECT_TRUE(torch::isfinite(model->backbone->conv1->weight.grad()).all().item<bool>());
  model->eval();
  EXPECT_EQ(model->detect(data.images, data.sizes)[0].masks.scalar_type(), torch::kFloat);
}

double iou(const Tensor& a, const Tensor& b) {
  return ops::box_iou(a.view({1, 4}), b.view({1, 4})).item<double>();
}

// A head that knew only how often each class occurs would have a loss of classes of their entropy: with a
// quarter of foreground in two classes 0.74, with an eighth 0.46.
TEST(MaskRcnn, LearnsThreePicturesByHeart) {
  const Rectangles data;
  MaskRcnn model(small_options("gn:16"));
  model->initialize(1);
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(1e-3));
  RandomStream stream(1, "sample");
  DetectionLosses losses;
  for (int step = 0; step < 90; ++step) {
    if (step == 60) static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options()).lr(2e-4);
    losses = model->losses(data.images, data.sizes, data.targets, stream);
    optimizer.zero_grad();
    losses.total().backward();
    optimizer.step();
  }
  EXPECT_LT(losses.classes.item<double>(), 0.25);
  EXPECT_LT(losses.masks.item<double>(), 0.2);
  model->eval();
  const std::vector<Detections> found = model->detect(data.images, data.sizes);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Target& target = data.targets[i];
    for (std::int64_t j = 0; j < target.labels.numel(); ++j) {
      const Tensor own = torch::nonzero(found[i].labels == target.labels[j]).flatten();
      ASSERT_GT(own.numel(), 0) << i;
      const std::int64_t best = own[0].item<std::int64_t>();  // sorted by score
      EXPECT_GT(found[i].scores[best].item<double>(), 0.5) << i;
      EXPECT_GT(iou(found[i].boxes[best], target.boxes[j]), 0.6) << i;
      const Tensor mask = ops::paste_masks(found[i].masks[best].unsqueeze(0),
                                           found[i].boxes[best].unsqueeze(0), data.sizes[i])[0];
      Tensor wanted = torch::zeros_like(mask);
      const auto at = [&](int k) { return static_cast<std::int64_t>(target.boxes[j][k].item<float>()); };
      wanted.slice(0, at(1), at(3)).slice(1, at(0), at(2)).fill_(1);
      EXPECT_GT((mask & wanted).sum().item<double>() / (mask | wanted).sum().item<double>(), 0.6) << i;
    }
  }
}

}  // namespace
}  // namespace refnorm::models
