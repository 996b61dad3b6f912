#include <map>

#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <refnorm/norms/capture.h>
#include <refnorm/norms/population.h>
#include <refnorm/train/training_step.h>

#include "tests/support/tensors.h"
#include "tests/train/group_of_threads.h"
#include "tests/train/toy.h"

// What several processes do is what one does with all of their batches: one behind the other in a step
// (accumulate), or, with synchronized statistics, joined to one.

namespace refnorm::train {
namespace {

using refnorm::testing::as_group;
using refnorm::testing::distance;
using refnorm::testing::random_double;
using refnorm::testing::ToyNetImpl;
using torch::Tensor;

constexpr std::int64_t kBatch = 6;
constexpr std::int64_t kSteps = 3;

/// The toy network without dropout, and with weights of a generator of its own: LibTorch's is everybody's,
/// and threads put it back to where it was after they took their reference.
std::shared_ptr<ToyNetImpl> toy(const std::string& norm) {
  auto net = std::make_shared<ToyNetImpl>(norm);
  net->dropout->options.p(0);
  const torch::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(3);
  for (const auto& layer :
       std::vector<std::shared_ptr<torch::nn::Module>>{net->conv.ptr(), net->linear.ptr()}) {
    for (Tensor& parameter : layer->parameters()) parameter.uniform_(-0.3, 0.3, generator);
  }
  return net;
}

/// Batch `number` of a run: pictures whose mean drifts, so that batches differ in their statistics.
Tensor pictures(std::int64_t number, std::int64_t count) {
  std::vector<Tensor> batches;
  for (std::int64_t i = number; i < number + count; ++i) {
    auto generator = at::detail::createCPUGenerator(100 + static_cast<std::uint64_t>(i));
    batches.push_back(
        torch::empty({kBatch, 1, 4, 4}).normal_(0.3 * static_cast<double>(i % 5), 1, generator));
  }
  return torch::cat(batches);
}
Tensor labels(std::int64_t count) {
  return torch::arange(kBatch * count).remainder(2);
}

TrainSettings settings_with(std::int64_t accumulate, bool sync) {
  TrainSettings settings;
  settings.lr = 0.1;
  settings.accumulate = accumulate;
  settings.sync_statistics = sync;
  return settings;
}

using State = std::map<std::string, Tensor>;

State state_of_net(const ToyNetImpl& net) {
  State state;
  for (const auto& item : net.named_parameters()) {
    state[item.key()] = item.value().detach().clone();
    if (item.value().grad().defined()) state[item.key() + ".grad"] = item.value().grad().clone();
  }
  for (const auto& item : net.named_buffers()) state[item.key()] = item.value().clone();
  return state;
}

/// kSteps steps; the batches of a step are `per_step` from number step · per_step on, of which this process
/// takes those of its share, `joined` at a time.
State trained(const std::string& norm, std::int64_t per_step, const TrainSettings& settings,
              const std::shared_ptr<Group>& group, std::int64_t joined = 1, State* first = nullptr) {
  const auto net = toy(norm);
  // The same reference everywhere.
  ReferenceKeeper reference(ModelView(*net, [&](const Tensor& x) { return net->forward(x); }),
                            pictures(900, 1));
  TrainingStep step(*net, settings, group);
  StepClock clock;
  for (std::int64_t at = 0; at < kSteps; ++at) {
    std::int64_t which = group->rank();
    step.run(
        [&](bool first_of_step) {
          if (first_of_step) reference.prepare();
          Pass pass;
          const Tensor scores = reference.forward_only(pictures(at * per_step + which, joined));
          pass.loss = torch::nn::functional::cross_entropy(scores, labels(joined));
          pass.tally.add(kBatch * joined, 1, pass.loss.item<double>());
          which += group->size();
          return pass;
        },
        0.1, clock);
    if (at == 0 && first != nullptr) *first = state_of_net(*net);
  }
  return state_of_net(*net);
}

void expect_same(const State& ours, const State& expected, double tolerance, const std::string& what,
                 bool running = true) {
  for (const auto& [name, tensor] : expected) {
    // A live reference rides along with every batch, and each process counts its own.
    if (name.ends_with("num_ref_captures")) continue;
    if (!running &&
        (name.find("running") != std::string::npos || name.find("num_batches") != std::string::npos))
      continue;
    EXPECT_LT(distance(ours.at(name), tensor), tolerance) << what << ", " << name;
  }
}

class Together : public ::testing::TestWithParam<int> {};

// Norms whose statistics are of a batch or of a sample. (Batch renormalization reads running averages, which
// move once for each batch there and once for each step here.)
TEST_P(Together, EqualOneProcessThatAccumulatesAsManyBatches) {
  const int processes = GetParam();
  for (const char* norm : {"none", "bn", "ln", "gn:3", "rbn:fixed,weight=paper", "rbn:live", "sn"}) {
    const State expected = trained(norm, processes, settings_with(processes, false), Group::alone());
    std::vector<State> states(static_cast<std::size_t>(processes));
    as_group(processes, [&](const auto& group) {
      states[static_cast<std::size_t>(group->rank())] =
          trained(norm, processes, settings_with(1, false), group);
    });
    expect_same(states[0], expected, 1e-5, norm, /*running=*/false);
    for (const State& state : states) {
      for (const auto& [name, tensor] : states[0])
        EXPECT_TRUE(torch::equal(state.at(name), tensor)) << norm << ", " << name << ": not the same bits";
    }
  }
}

// Both: so many batches of each process, one behind the other.
TEST_P(Together, EqualOneProcessAlsoWhereEachAccumulates) {
  const int processes = GetParam();
  const State expected = trained("bn", 2 * processes, settings_with(2 * processes, false), Group::alone());
  as_group(processes, [&](const auto& group) {
    expect_same(trained("bn", 2 * processes, settings_with(2, false), group), expected, 1e-5, "bn", false);
  });
}

// Everything, running averages too. For RBN, m of 1/(m+1) counts the samples of all.
TEST_P(Together, EqualOneProcessWithTheJointBatchWhereStatisticsAreSynchronized) {
  const int processes = GetParam();
  for (const char* norm : {"bn", "rbn:fixed,weight=paper", "rbn:weight=0.4,variance=mixture", "rbn:live",
                           "rbn:moving", "brn:warmup=1,r_max_steps=3,d_max_steps=3", "sn", "gn:3"}) {
    const State expected =
        trained(norm, processes, settings_with(1, false), Group::alone(), /*joined=*/processes);
    as_group(processes, [&](const auto& group) {
      expect_same(trained(norm, processes, settings_with(1, true), group), expected, 2e-5, norm);
    });
  }
}

TEST_P(Together, HaveStatisticsOfTheirOwnOtherwise) {
  const int processes = GetParam();
  const State joint = trained("bn", processes, settings_with(1, false), Group::alone(), processes);
  as_group(processes, [&](const auto& group) {
    const State own = trained("bn", processes, settings_with(1, false), group);
    EXPECT_GT(distance(own.at("conv.weight.grad"), joint.at("conv.weight.grad")), 1e-3);
  });
}

// Running averages are linear in the batches' statistics: with N processes, after one step, they have moved
// by the mean of what N processes saw.
TEST_P(Together, AverageTheirRunningStatistics) {
  const int processes = GetParam();
  std::vector<Tensor> means;
  for (std::int64_t which = 0; which < processes; ++which) {
    State first;
    const auto net = toy("bn");
    net->forward(pictures(which, 1));
    means.push_back(state_of_net(*net).at("norm.running_mean"));
  }
  const Tensor expected = torch::stack(means).mean(0);
  as_group(processes, [&](const auto& group) {
    State first;
    trained("bn", processes, settings_with(1, false), group, 1, &first);
    EXPECT_LT(distance(first.at("norm.running_mean"), expected), 1e-6);
    EXPECT_EQ(first.at("norm.num_batches_tracked").template item<std::int64_t>(), 1);
  });
}

TEST_P(Together, TellEachOtherOfALossThatIsNotFinite) {
  for (const bool sync : {false, true}) {
    as_group(GetParam(), [&](const auto& group) {
      const auto net = toy("bn");
      TrainingStep step(*net, settings_with(2, sync), group);
      StepClock clock;
      const State before = state_of_net(*net);
      const auto done = step.run(
          [&](bool first_of_step) {
            Pass pass;
            pass.loss = net->forward(pictures(0, 1)).sum();
            if (!first_of_step && group->rank() == group->size() - 1) {
              pass.loss = pass.loss * std::numeric_limits<double>::quiet_NaN();
              pass.broken = "conv";
            }
            return pass;
          },
          0.1, clock);
      EXPECT_EQ(done.broken, "conv");
      EXPECT_TRUE(torch::equal(net->conv->weight, before.at("conv.weight")));
    });
  }
}

TEST_P(Together, CountTheSamplesAndLossesOfAll) {
  as_group(GetParam(), [&](const auto& group) {
    const auto net = toy("none");
    TrainingStep step(*net, settings_with(1, false), group);
    StepClock clock;
    const auto done = step.run(
        [&](bool) {
          Pass pass;
          pass.loss = net->forward(pictures(0, 1)).sum();
          pass.tally.add(4, 1 + group->rank(), 10.0 * (group->rank() + 1));
          return pass;
        },
        0.1, clock);
    const std::int64_t processes = group->size();
    EXPECT_EQ(done.tally.samples, 4 * processes);
    EXPECT_EQ(done.tally.correct, processes * (processes + 1) / 2);
    EXPECT_DOUBLE_EQ(done.tally.loss_sum, 40.0 * static_cast<double>(processes * (processes + 1) / 2));
  });
}

// Algorithm 3 over all processes' batches, whoever saw them: one pass in one process sees the same.
TEST_P(Together, CollectThePopulationOfAll) {
  const auto collected = [](std::int64_t from, std::int64_t every, Group& group) {
    const auto net = toy("bn");
    net->train();
    const torch::NoGradGuard no_grad;
    PopulationPass pass(*net);
    for (std::int64_t which = from; which < 5; which += every) net->forward(pictures(which, 1));
    pass.join([&](const Tensor& own) { return group.gather(own); });
    return pass.finish();
  };
  const auto expected = collected(0, 1, alone());
  as_group(GetParam(), [&](const auto& group) {
    const auto found = collected(group->rank(), group->size(), *group);
    for (const PopulationReading reading : kPopulationReadings) {
      EXPECT_LT(distance(found.at("norm")[reading].mean, expected.at("norm")[reading].mean), 1e-12);
      EXPECT_LT(distance(found.at("norm")[reading].var, expected.at("norm")[reading].var), 1e-12);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(OfProcesses, Together, ::testing::Values(2, 4));

}  // namespace
}  // namespace refnorm::train
