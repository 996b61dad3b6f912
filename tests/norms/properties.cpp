#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/norms/batch_renorm.h>
#include <refnorm/norms/group_norm.h>
#include <refnorm/norms/instance_norm.h>
#include <refnorm/norms/layer_norm.h>
#include <refnorm/norms/reference_batch_norm.h>
#include <refnorm/norms/switchable_norm.h>

#include "tests/norms/layers.h"

// What follows from the definitions, over random shapes: which changes of the input leave the output as it
// is, and which norms coincide.

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::double_layer;
using refnorm::testing::random_double;
using refnorm::testing::WithReferenceRows;
using torch::Tensor;

struct Size {
  std::int64_t n, c, h, w;
  std::uint64_t seed;
};

Size any_size() {
  return {*rc::gen::inRange<std::int64_t>(1, 7), *rc::gen::inRange<std::int64_t>(1, 10),
          *rc::gen::inRange<std::int64_t>(1, 7), *rc::gen::inRange<std::int64_t>(2, 7),
          *rc::gen::inRange<std::uint64_t>(0, 1000000)};
}

Tensor input(const Size& size) {
  return random_double({size.n, size.c, size.h, size.w}, size.seed) * 2 + 1;
}

/// The layer of a spec in double, with hardly any eps, so that invariances hold to rounding.
std::shared_ptr<NormLayer> exact(const std::string& spec, std::int64_t channels) {
  return double_layer(spec + (spec.find(':') == std::string::npos ? ":" : ",") + "eps=1e-30", channels);
}

/// A scale and a shift for each of the given shape, scales from 0.5 to 2.
Tensor scales(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
  torch::manual_seed(seed);
  return torch::rand(shape, torch::kDouble) * 1.5 + 0.5;
}

/// The largest change of the norm's output when its input is scaled and shifted along `shape`.
double change(const std::string& spec, const Size& size, const std::vector<std::int64_t>& shape) {
  const auto layer = exact(spec, size.c);
  const Tensor x = input(size);
  const Tensor moved = x * scales(shape, size.seed + 1) + scales(shape, size.seed + 2) * 3;
  return distance(layer->forward(moved), layer->forward(x));
}

RC_GTEST_PROP(Invariance, BatchNormIgnoresEachChannelsScaleAndShift, ()) {
  const Size size = any_size();
  RC_ASSERT(change("bn", size, {1, size.c, 1, 1}) < 1e-9);
}

RC_GTEST_PROP(Invariance, LayerNormIgnoresEachSamplesScaleAndShift, ()) {
  const Size size = any_size();
  RC_ASSERT(change("ln", size, {size.n, 1, 1, 1}) < 1e-9);
}

RC_GTEST_PROP(Invariance, InstanceNormIgnoresEachSamplesAndChannelsScaleAndShift, ()) {
  const Size size = any_size();
  RC_ASSERT(change("in", size, {size.n, size.c, 1, 1}) < 1e-9);
}

RC_GTEST_PROP(Invariance, GroupNormIgnoresEachSamplesScaleAndShift, ()) {
  Size size = any_size();
  size.c *= 3;
  RC_ASSERT(change("gn:3", size, {size.n, 1, 1, 1}) < 1e-9);
}

RC_GTEST_PROP(Invariance, SamplesOfOneDoNotDependOnTheOthers, ()) {
  Size size = any_size();
  size.n += 1;
  size.c *= 2;
  for (const char* spec : {"ln", "in", "gn:2", "vbn"}) {
    const auto layer = exact(spec, size.c);
    layer->eval();
    const Tensor x = input(size);
    RC_ASSERT(distance(layer->forward(x).narrow(0, 1, 1), layer->forward(x.narrow(0, 1, 1))) < 1e-12);
  }
}

// With a memory of other batches a norm rightly lacks batch norm's invariance. By how much, when every
// channel is scaled by 2 and shifted by 1: a reference of weight w moves the mean of x^ to about w·(mu −
// mu_ref)/sigma'. The test states a lower bound that batch norm's rounding (1e-9) is far from, and prints
// what it was.
TEST(Invariance, IsRightlyLackedByNormsWithAReference) {
  const Tensor x = random_double({8, 4, 5, 5}, 3) * 2 + 1;
  for (const char* spec : {"rbn", "rbn:weight=0.3", "rbn:moving,weight=0.3",
                           "brn:warmup=0,r_max_steps=0,d_max_steps=0", "vbn"}) {
    const auto run = [&](const Tensor& in) {
      const auto layer = exact(spec, 4);
      if (std::string(spec).starts_with("rbn:moving")) layer->forward(x + 0.5);  // has a past
      const WithReferenceRows rows(*layer, 3);
      return layer->forward(in);
    };
    Tensor moved = x * 2 + 1;
    if (std::string(spec) == "vbn") moved = torch::cat({x.narrow(0, 0, 3), moved.narrow(0, 3, 5)});
    const double by = distance(run(moved), run(x));
    ::testing::Test::RecordProperty(spec, std::to_string(by));
    EXPECT_GT(by, 0.02) << spec;
    std::cout << spec << ": the output changes by " << by << " of its largest value\n";
  }
}

/// Both layers with the same weight and bias give the same output and gradient.
void expect_same(NormLayer& a, NormLayer& b, const Tensor& x) {
  const torch::NoGradGuard no_grad;
  const auto theirs = b.named_parameters();
  for (const auto& item : a.named_parameters()) {
    if (const Tensor* other = theirs.find(item.key())) {
      if (other->sizes() == item.value().sizes()) other->copy_(item.value());
    }
  }
  const torch::AutoGradMode with_grad(true);
  const Tensor in_a = x.clone().requires_grad_(true);
  const Tensor in_b = x.clone().requires_grad_(true);
  const Tensor upstream = random_double(x.sizes(), 5);
  const Tensor ya = a.forward(in_a);
  const Tensor yb = b.forward(in_b);
  ya.backward(upstream);
  yb.backward(upstream);
  RC_ASSERT(distance(ya, yb) < 1e-11);
  RC_ASSERT(distance(in_a.grad(), in_b.grad()) < 1e-9);
}

RC_GTEST_PROP(Coincidence, OneGroupIsLayerNorm, ()) {
  const Size size = any_size();
  expect_same(*double_layer("gn:1", size.c), *double_layer("ln", size.c), input(size));
}

RC_GTEST_PROP(Coincidence, AGroupForEachChannelIsInstanceNorm, ()) {
  const Size size = any_size();
  expect_same(*double_layer("gn:" + std::to_string(size.c), size.c), *double_layer("in", size.c),
              input(size));
}

RC_GTEST_PROP(Coincidence, RenormalizationWithoutRoomIsBatchNorm, ()) {
  const Size size = any_size();
  expect_same(*double_layer("brn:r_max=1,d_max=0", size.c), *double_layer("bn", size.c), input(size));
}

RC_GTEST_PROP(Coincidence, AReferenceWithoutWeightIsBatchNorm, ()) {
  const Size size = any_size();
  expect_same(*double_layer("rbn:weight=0", size.c), *double_layer("bn", size.c), input(size));
}

RC_GTEST_PROP(Coincidence, OneVirtualBatchIsBatchNorm, ()) {
  const Size size = any_size();
  expect_same(*double_layer("ghost:100", size.c), *double_layer("bn", size.c), input(size));
}

// A softmax of (0, 60, 0) is 1 for the second to 1e-26.
RC_GTEST_PROP(Coincidence, SwitchableNormWithAllWeightOnOneIsThatNorm, ()) {
  const Size size = any_size();
  const std::vector<std::string> sources{"in", "ln", "bn"};
  for (std::int64_t k = 0; k < 3; ++k) {
    const auto layer = double_layer("sn", size.c);
    auto& switchable = dynamic_cast<SwitchableNormBase&>(*layer);
    {
      const torch::NoGradGuard no_grad;
      for (Tensor* weights : {&switchable.mean_weight, &switchable.var_weight}) {
        weights->zero_();
        (*weights)[k] = 60;
      }
    }
    expect_same(*layer, *double_layer(sources[static_cast<std::size_t>(k)], size.c), input(size));
  }
}

RC_GTEST_PROP(Coincidence, BothMemoryFormatsGiveTheSame, ()) {
  Size size = any_size();
  size.c *= 2;
  for (const std::string& spec : testing::every_spec()) {
    const auto layer = double_layer(spec, size.c);
    layer->eval();
    const Tensor x = input(size);
    RC_ASSERT(distance(layer->forward(x.contiguous(torch::MemoryFormat::ChannelsLast)), layer->forward(x)) <
              1e-12);
  }
}

}  // namespace
}  // namespace refnorm
