#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <refnorm/norms/norm_spec.h>
#include <refnorm/train/autocast.h>
#include <refnorm/train/classification.h>
#include <refnorm/train/training_step.h>

#include "tests/support/tensors.h"

namespace refnorm::train {
namespace {

using refnorm::testing::distance;
using torch::Tensor;

constexpr double kRate = 0.5;

/// conv -> norm -> relu -> mean -> linear
struct SmallNetImpl : torch::nn::Module {
  explicit SmallNetImpl(const std::string& norm_spec) {
    conv = register_module("conv", torch::nn::Conv2d(2, 4, 3));
    norm = register_module("norm", make_norm(NormSpec::parse(norm_spec), 4, 2));
    linear = register_module("linear", torch::nn::Linear(4, 3));
  }
  Tensor forward(const Tensor& x) { return linear(norm_act(*norm, conv(x)).mean({2, 3})); }
  torch::nn::Conv2d conv{nullptr};
  std::shared_ptr<NormLayer> norm;
  torch::nn::Linear linear{nullptr};
};
TORCH_MODULE(SmallNet);

TrainSettings plain_sgd() {
  TrainSettings settings;
  settings.momentum = 0;
  settings.weight_decay = 0;
  return settings;
}

/// A network, batches, and one step on them.
class Step {
 public:
  Step(const std::string& norm, TrainSettings settings, const Compute& compute = {})
      : settings_(std::move(settings)), compute_(compute) {
    torch::manual_seed(6);
    net = SmallNet(norm);
    for (auto& parameter : net->parameters()) before.push_back(parameter.detach().clone());
    images = torch::randn({12, 2, 6, 6});
    labels = torch::randint(3, {12});
    compute_.place(*net);
  }

  TrainingStep::Done run(std::int64_t batches) {
    const auto model = net.ptr();
    const Network network{model, [model](const Tensor& x) { return model->forward(x); }};
    ReferenceKeeper reference(ModelView(*model, network.forward), images.narrow(0, 0, 4));
    ClassificationPass pass(network, reference, settings_.label_smoothing, compute_);
    step_ = std::make_unique<TrainingStep>(*model, settings_);
    std::int64_t which = 0;
    const std::int64_t size = images.size(0) / batches;
    net->train();
    StepClock clock;
    return step_->run(
        [&](bool first_of_step) {
          const std::int64_t from = size * which++;
          return pass.run({images.narrow(0, from, size), labels.narrow(0, from, size), {}}, first_of_step,
                          clock);
        },
        kRate, clock);
  }
  const TrainingStep& step() const { return *step_; }

  SmallNet net{nullptr};
  std::vector<Tensor> before;
  Tensor images, labels;

 private:
  TrainSettings settings_;
  Compute compute_;
  std::unique_ptr<TrainingStep> step_;
};

/// Gradients of the mean cross entropy over each part, averaged over the parts; batch norm by LibTorch's own
/// operator.
std::vector<Tensor> gradients_by_parts(const Step& from, std::int64_t parts, double smoothing = 0) {
  std::vector<Tensor> at;
  for (const Tensor& parameter : from.before)
    at.push_back(parameter.to(torch::kDouble).requires_grad_());  // conv, norm, linear: weight and bias each
  Tensor loss = torch::zeros({}, torch::kDouble);
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t size = from.images.size(0) / parts;
    const Tensor x = from.images.narrow(0, part * size, size).to(torch::kDouble);
    const Tensor y = torch::relu(
        torch::batch_norm(torch::conv2d(x, at[0], at[1]), at[2], at[3], {}, {}, true, 0.1, 1e-5, false));
    const Tensor scores = torch::linear(y.mean({2, 3}), at[4], at[5]).log_softmax(1);
    const Tensor of_label = scores.gather(1, from.labels.narrow(0, part * size, size).unsqueeze(1)).mean();
    loss = loss - ((1 - smoothing) * of_label + smoothing * scores.mean()) / static_cast<double>(parts);
  }
  return torch::autograd::grad({loss}, at);
}

void expect_update(const Step& step, const std::vector<Tensor>& gradients, double scale = 1) {
  const auto after = step.net->parameters();
  for (std::size_t i = 0; i < after.size(); ++i) {
    const Tensor expected = step.before[i].to(torch::kDouble) - kRate * scale * gradients[i];
    EXPECT_LT(distance(after[i], expected), 1e-5) << i;
  }
}

TEST(TrainingStep, NormalizesEachAccumulatedBatchByItself) {
  TrainSettings settings = plain_sgd();
  settings.accumulate = 3;
  Step step("bn", settings);
  EXPECT_EQ(step.run(3).tally.samples, 12);
  expect_update(step, gradients_by_parts(step, 3));
  EXPECT_GT(distance(gradients_by_parts(step, 3)[0], gradients_by_parts(step, 1)[0]), 1e-3)
      << "which is something else than the joint batch's";
}

TEST(TrainingStep, AccumulatesToTheJointBatchWhereNoStatisticsAreShared) {
  TrainSettings settings = plain_sgd();
  Step joint("gn:2", settings);
  joint.run(1);
  settings.accumulate = 4;
  Step parts("gn:2", settings);
  parts.run(4);
  const auto a = joint.net->parameters();
  const auto b = parts.net->parameters();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_LT(distance(a[i], b[i]), 1e-6) << i;
}

TEST(TrainingStep, SmoothsLabels) {
  TrainSettings settings = plain_sgd();
  settings.label_smoothing = 0.2;
  Step step("bn", settings);
  step.run(1);
  expect_update(step, gradients_by_parts(step, 1, 0.2));
}

TEST(TrainingStep, ClipsTheNormOfAllGradients) {
  TrainSettings settings = plain_sgd();
  Step whole("bn", settings);
  const std::vector<Tensor> gradients = gradients_by_parts(whole, 1);
  double squares = 0;
  for (const Tensor& gradient : gradients) squares += gradient.pow(2).sum().item<double>();
  const double norm = std::sqrt(squares);
  settings.clip_norm = norm / 4;
  Step clipped("bn", settings);
  clipped.run(1);
  expect_update(clipped, gradients, 0.25);
  EXPECT_NEAR(clipped.step().clipped_to(), 0.25, 1e-5);
  double logged = 0;
  for (const auto& [layer, of_layer] : clipped.step().gradient_norms()) logged += of_layer * of_layer;
  EXPECT_NEAR(std::sqrt(logged), norm, 1e-4 * norm) << "what is logged is what was there before";
  settings.clip_norm = 2 * norm;
  Step loose("bn", settings);
  loose.run(1);
  expect_update(loose, gradients);
}

TEST(TrainingStep, ComputesTheSameInAnyMemoryFormat) {
  for (const char* norm : {"bn", "rbn", "gn:2", "ln", "in"}) {
    Compute compute;
    Step plain(norm, plain_sgd(), compute);
    plain.run(1);
    compute.channels_last = true;
    Step other(norm, plain_sgd(), compute);
    other.run(1);
    EXPECT_TRUE(other.net->conv->weight.is_contiguous(torch::MemoryFormat::ChannelsLast));
    const auto a = plain.net->parameters();
    const auto b = other.net->parameters();
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_LT(distance(a[i], b[i]), 1e-5) << norm << " " << i;
  }
}

// bfloat16 has 8 significant bits: each value is off by up to 2^-8 of itself.
// Autocast keeps converted weights; those of a reference pass have no gradient.
TEST(TrainingStep, MovesEveryLayerInBfloat16AfterAReferencePass) {
  Compute low;
  low.bfloat16 = true;
  for (const char* norm : {"bn", "rbn:weight=0.3", "rbn:live,weight=0.3", "rbn:fixed,weight=0.3", "vbn"}) {
    Step in_float32(norm, plain_sgd()), in_bfloat16(norm, plain_sgd(), low);
    in_float32.run(1);
    in_bfloat16.run(1);
    const Tensor expected = in_float32.net->conv->weight - in_float32.before[0];
    const Tensor moved = in_bfloat16.net->conv->weight - in_bfloat16.before[0];
    ASSERT_GT(expected.norm().item<double>(), 0) << norm;
    // Products of numbers of 8 bits, in three layers; a layer without gradient would be 1 away.
    EXPECT_LT((moved - expected).norm().item<double>(), 0.1 * expected.norm().item<double>()) << norm;
  }
}

// Whatever the processor has: 8 significant bits are 2^-8 of a value at most, lost once and not in each of
// 576 or 1,000 additions. Expected: the same values in float64.
TEST(Bfloat16Scope, RoundsAConvolutionAndADenseLayerOnce) {
  const auto values = [](at::IntArrayRef shape, std::uint64_t seed) {
    return refnorm::testing::random_double(shape, seed).abs().to(torch::kBFloat16).to(torch::kFloat);
  };
  const Tensor x = values({2, 64, 8, 8}, 1), weight = values({16, 64, 3, 3}, 2);
  const Tensor features = values({64, 1000}, 3), dense = values({64, 1000}, 4);
  Tensor y, scores;
  {
    const Bfloat16Scope scope(true, torch::kCPU);
    y = torch::conv2d(x, weight);
    scores = torch::linear(features, dense);
  }
  const auto gap = [](const Tensor& found, const Tensor& expected) {
    EXPECT_EQ(found.scalar_type(), torch::kBFloat16);
    return ((found.to(torch::kDouble) - expected) / expected).abs().max().item<double>();
  };
  EXPECT_LT(gap(y, torch::conv2d(x.to(torch::kDouble), weight.to(torch::kDouble))), 0x1p-8 * 1.001);
  EXPECT_LT(gap(scores, torch::linear(features.to(torch::kDouble), dense.to(torch::kDouble))),
            0x1p-8 * 1.001);
}

TEST(TrainingStep, KeepsWeightsAndStatisticsInFloat32) {
  Compute compute;
  compute.bfloat16 = true;
  Step step("bn", plain_sgd(), compute);
  step.run(1);
  for (const auto& item : step.net->named_parameters())
    EXPECT_EQ(item.value().scalar_type(), torch::kFloat) << item.key();
  EXPECT_EQ(step.net->named_buffers()["norm.running_mean"].scalar_type(), torch::kFloat);
  const std::vector<Tensor> gradients = gradients_by_parts(step, 1);
  const auto after = step.net->parameters();
  for (std::size_t i = 0; i < after.size(); ++i)
    EXPECT_LT(distance(after[i], step.before[i].to(torch::kDouble) - kRate * gradients[i]), 0.02) << i;
}

}  // namespace
}  // namespace refnorm::train
