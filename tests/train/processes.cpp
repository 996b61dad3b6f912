#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <refnorm/train/processes/gradient_buckets.h>

#include "tests/support/tensors.h"
#include "tests/train/group_of_threads.h"

namespace refnorm::train {
namespace {

using refnorm::testing::as_group;
using refnorm::testing::contains;
using refnorm::testing::distance;
using refnorm::testing::message_of;
using refnorm::testing::random_double;
using torch::Tensor;

TEST(Group, SumsGathersAndBroadcasts) {
  as_group(3, [](const auto& group) {
    const double rank = group->rank();
    Tensor values = torch::tensor({rank, 10.0}, torch::kDouble);
    group->sum(values);
    EXPECT_TRUE(torch::equal(values, torch::tensor({3.0, 30.0}, torch::kDouble)));
    const auto all = group->gather(torch::tensor({rank}, torch::kDouble));
    ASSERT_EQ(all.size(), 3U);
    for (int other = 0; other < 3; ++other)
      EXPECT_EQ(all[static_cast<std::size_t>(other)].template item<double>(), other);
    Tensor told = torch::tensor({rank + 7}, torch::kDouble);
    group->broadcast(told);
    EXPECT_EQ(told.item<double>(), 7);
    const std::vector<std::string> words{"one", "", "a longer word"};
    EXPECT_EQ(group->gather(words[static_cast<std::size_t>(group->rank())]), words);
    EXPECT_EQ(group->broadcast(group->leads() ? "from the first" : "ignored"), "from the first");
    EXPECT_EQ(group->broadcast(std::string()), "");
    group->barrier();
  });
}

TEST(Group, OfOneCostsNothing) {
  const auto group = Group::alone();
  Tensor values = torch::ones({2});
  group->sum(values);
  EXPECT_TRUE(torch::equal(values, torch::ones({2})));
  EXPECT_EQ(group->gather(std::string("word")), std::vector<std::string>{"word"});
  EXPECT_EQ(group->broadcast(std::string("word")), "word");
  EXPECT_TRUE(group->leads());
}

// One that goes without a word, one that leaves a word, and one that is only silent.
TEST(Group, SaysInOneLineWhoIsGone) {
  as_group(2, [](const auto& group) {
    if (!group->leads()) return;
    Tensor values = torch::ones({4});
    EXPECT_TRUE(contains(message_of<PeerLost>([&] { group->sum(values); }),
                         "process 0 of 2: another process is gone"));
  });
  as_group(2, [](const auto& group) {
    if (!group->leads()) return group->leave_word("data/x.png: cannot be read");
    Tensor values = torch::ones({4});
    EXPECT_EQ(message_of<PeerLost>([&] { group->sum(values); }),
              "another process ended: process 1 of 2: data/x.png: cannot be read");
  });
  std::atomic<bool> over = false;
  as_group(
      2,
      [&](const auto& group) {
        if (!group->leads()) {
          while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(10));
          return;
        }
        Tensor values = torch::ones({4});
        EXPECT_EQ(message_of<PeerLost>([&] { group->sum(values); }),
                  "process 0 of 2: no word from another process for 1 s (--peer-timeout)");
        over = true;
      },
      std::chrono::seconds(1));
}

// By default the signal ends who writes to a connection that the other side has closed.
TEST(Group, IgnoresBrokenPipesUnlessTheyAreHandled) {
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  as_group(2, [](const auto& group) { group->barrier(); });
  const auto handler = [](int) {};
  EXPECT_EQ(std::signal(SIGPIPE, handler), SIG_IGN);
  as_group(2, [](const auto& group) { group->barrier(); });
  EXPECT_EQ(std::signal(SIGPIPE, before), static_cast<void (*)(int)>(handler));
}

TEST(Group, SaysInOneLineThatTheOthersDidNotCome) {
  const auto meeting = MeetingPlace::open();
  Place place;
  place.size = 2;
  place.port = meeting->port();
  place.served = true;
  const std::string message = message_of<PeerLost>([&] { Group::join(place, std::chrono::seconds(1)); });
  EXPECT_TRUE(contains(message, "process 0 of 2: did not meet the others at 127.0.0.1 port ")) << message;
  EXPECT_TRUE(contains(message, " within 1 s")) << message;
}

/// A network without norms, the same one each time.
torch::nn::Sequential network() {
  static std::mutex one_after_the_other;  // the generator is everybody's
  const std::lock_guard lock(one_after_the_other);
  torch::nn::Sequential net(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 4, 3).padding(1)),
                            torch::nn::ReLU(), torch::nn::Flatten(), torch::nn::Linear(4 * 36, 10),
                            torch::nn::Tanh(), torch::nn::Linear(10, 3));
  std::uint64_t seed = 1;
  net->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  for (Tensor& parameter : net->parameters()) parameter.copy_(random_double(parameter.sizes(), ++seed) * 0.1);
  net->to(torch::kFloat);
  return net;
}

class Buckets : public ::testing::TestWithParam<int> {
 protected:
  static constexpr std::int64_t kSamples = 8;
  const Tensor x = random_double({kSamples, 2, 6, 6}, 50).to(torch::kFloat);
  const Tensor target = random_double({kSamples, 3}, 51).to(torch::kFloat);

  std::vector<Tensor> joint_gradients() const {
    torch::nn::Sequential net = network();
    torch::mse_loss(net->forward(x), target).backward();
    std::vector<Tensor> gradients;
    for (const Tensor& parameter : net->parameters()) gradients.push_back(parameter.grad().clone());
    return gradients;
  }
};

// float32's rounding is all that differs from one process with the joint batch; in every process the same
// bits.
TEST_P(Buckets, HoldTheGradientsOfTheJointBatch) {
  const std::vector<Tensor> expected = joint_gradients();
  const int processes = GetParam();
  const std::vector<torch::nn::Sequential> nets = [&] {
    std::vector<torch::nn::Sequential> made;
    for (int rank = 0; rank < processes; ++rank) made.push_back(network());
    return made;
  }();
  for (const auto& [bytes, first, buckets] :
       {std::tuple<std::int64_t, std::int64_t, std::int64_t>{std::int64_t{25} << 20, std::int64_t{1} << 20,
                                                             1},
        {1, 1, 6},          // one a parameter
        {6000, 200, 3}}) {  // the last layer and a bias; the large matrix and a bias; the first matrix
    as_group(processes, [&, bytes = bytes, first = first, buckets = buckets](const auto& group) {
      torch::nn::Sequential net = nets[static_cast<std::size_t>(group->rank())];
      GradientBuckets sums(group, net->parameters(), bytes, first);
      EXPECT_EQ(sums.buckets(), buckets);
      const std::int64_t own = kSamples / processes;
      for (int step = 0; step < 2; ++step) {
        for (Tensor& parameter : net->parameters()) parameter.mutable_grad().reset();
        sums.expect();
        const Tensor loss = torch::mse_loss(net->forward(x.narrow(0, group->rank() * own, own)),
                                            target.narrow(0, group->rank() * own, own));
        (loss / processes).backward();
        sums.finish();
      }
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_LT(distance(net->parameters()[i].grad(), expected[i]), 1e-6);
        EXPECT_EQ(net->parameters()[i].grad().strides(), net->parameters()[i].strides());
      }
    });
    for (int rank = 1; rank < processes; ++rank) {
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_TRUE(torch::equal(nets[static_cast<std::size_t>(rank)]->parameters()[i].grad(),
                                 nets[0]->parameters()[i].grad()));
    }
  }
}

// Passes before the last one only add up in each process.
TEST_P(Buckets, WaitForTheLastOfSeveralPasses) {
  const std::vector<Tensor> expected = joint_gradients();
  const int processes = GetParam();
  as_group(processes, [&](const auto& group) {
    torch::nn::Sequential net = network();
    GradientBuckets sums(group, net->parameters(), 1000, 100);
    const std::int64_t half = kSamples / processes / 2;
    for (std::int64_t pass = 0; pass < 2; ++pass) {
      if (pass == 1) sums.expect();
      const std::int64_t begin = (group->rank() * 2 + pass) * half;
      (torch::mse_loss(net->forward(x.narrow(0, begin, half)), target.narrow(0, begin, half)) /
       (2 * processes))
          .backward();
    }
    sums.finish();
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_LT(distance(net->parameters()[i].grad(), expected[i]), 1e-6);
  });
}

// A part of the network that the samples of one process do not reach counts as 0 there; one that no process
// reaches has no gradient, so that the optimizer leaves it alone.
TEST_P(Buckets, KnowWhatHasNoGradient) {
  as_group(GetParam(), [](const auto& group) {
    const Tensor everywhere = torch::ones({3}).requires_grad_(true);
    const Tensor in_the_first = torch::ones({2}).requires_grad_(true);
    const Tensor nowhere = torch::ones({2}).requires_grad_(true);
    const Tensor frozen = torch::ones({2});
    GradientBuckets sums(group, {everywhere, in_the_first, nowhere, frozen});
    sums.expect();
    Tensor loss = everywhere.sum();
    if (group->leads()) loss = loss + 5 * in_the_first.sum();
    loss.backward();
    sums.finish();
    EXPECT_TRUE(torch::equal(everywhere.grad(), torch::ones({3}) * group->size()));
    EXPECT_TRUE(torch::equal(in_the_first.grad(), torch::ones({2}) * 5));
    EXPECT_FALSE(nowhere.grad().defined());
    EXPECT_FALSE(frozen.grad().defined());
  });
}

// In channels_last, a gradient's values lie as its parameter's do.
TEST_P(Buckets, KeepTheMemoryFormat) {
  as_group(GetParam(), [](const auto& group) {
    torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
    conv->weight.set_data(conv->weight.contiguous(torch::MemoryFormat::ChannelsLast));
    GradientBuckets sums(group, conv->parameters());
    sums.expect();
    const Tensor input = random_double({2, 3, 5, 5}, 1).to(torch::kFloat);
    conv(input.contiguous(torch::MemoryFormat::ChannelsLast)).square().sum().backward();
    const Tensor own = conv->weight.grad().clone();
    sums.finish();
    EXPECT_TRUE(conv->weight.grad().is_contiguous(torch::MemoryFormat::ChannelsLast));
    std::vector<Tensor> all = group->gather(own.contiguous());
    EXPECT_LT(distance(conv->weight.grad(), torch::stack(all).sum(0)), 1e-6);
  });
}

INSTANTIATE_TEST_SUITE_P(OfProcesses, Buckets, ::testing::Values(2, 4));

}  // namespace
}  // namespace refnorm::train
