#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/train/weight_average.h>

#include "tests/support/tensors.h"

namespace refnorm::train {
namespace {

using refnorm::testing::message_of;
using torch::Tensor;

/// One weight and one counter.
struct PairImpl : torch::nn::Module {
  PairImpl() {
    weight = register_parameter("weight", torch::zeros({1}));
    count = register_buffer("count", torch::zeros({}, torch::kLong));
  }
  void set(double value, std::int64_t steps) {
    const torch::NoGradGuard no_grad;
    weight.fill_(value);
    count.fill_(steps);
  }
  Tensor weight, count;
};
TORCH_MODULE(Pair);

// d = 2/11 after the first step, 3/12 after the second, then 0.3, where (1 + 3)/(10 + 3) = 0.31 is above it.
// From 0 with values 11, 12, 10: 9 -> 9/4 + 9 = 11.25 -> 0.3 * 11.25 + 7 = 10.375.
TEST(WeightAverage, IsTheRecurrenceThatItSays) {
  Pair network;
  WeightAverage average(*network, 0.3);
  const double expected[] = {9, 11.25, 10.375};
  const double values[] = {11, 12, 10};
  for (int step = 1; step <= 3; ++step) {
    network->set(values[step - 1], step);
    average.update(step);
    const Averaged inside(&average);
    EXPECT_NEAR(network->weight.item<double>(), expected[step - 1], 1e-5);
    EXPECT_EQ(network->count.item<std::int64_t>(), step);
  }
  EXPECT_EQ(network->weight.item<double>(), 10) << "and training goes on from its own";
}

TEST(WeightAverage, BringsTheOtherValuesBack) {
  Pair network;
  network->set(1, 1);
  WeightAverage average(*network, 0.5);
  network->set(7, 2);
  Safetensors saved;
  {
    const Averaged inside(&average);
    saved = average.save();
  }
  ASSERT_EQ(saved.tensors.size(), 2U);
  EXPECT_EQ(to_tensor(*saved.find("weights/weight")).item<float>(), 7);
  network->set(0, 0);
  {
    const Averaged inside(&average);
    average.load(saved, "state");
    EXPECT_EQ(network->weight.item<float>(), 1);
  }
  EXPECT_EQ(network->weight.item<float>(), 7);
  saved.tensors[0].second = to_raw(torch::zeros({2}));
  EXPECT_EQ(message_of<UserError>([&] { average.load(saved, "state"); }),
            "state: 'weights/weight' is of shape [2], expected [1]");
  saved.tensors.clear();
  EXPECT_EQ(message_of<UserError>([&] { average.load(saved, "state"); }),
            "state: tensor 'weights/weight' is missing");
}

}  // namespace
}  // namespace refnorm::train
