#include <gtest/gtest.h>
#include <torch/types.h>

#include <refnorm/ops/joint_statistics.h>
#include <refnorm/ops/normalize.h>
#include <refnorm/ops/normalize_call.h>

#include "tests/support/tensors.h"
#include "tests/support/threads_as_processes.h"

// What is expected is the same operator's result on the joint batch, in one process, where the batch is the
// whole input; and that is tested against compositions and LibTorch elsewhere (normalize.cpp).

namespace refnorm::ops {
namespace {

using refnorm::testing::distance;
using refnorm::testing::random_double;
using refnorm::testing::ThreadsAsProcesses;

struct Case {
  const char* name;
  std::function<void(NormalizeBy&)> set;  ///< weights, stored statistics, all of them for 4 channels
  std::int64_t reference_rows = 0;
};

Tensor numbers(std::initializer_list<double> values) {
  return torch::tensor(std::vector<double>(values), torch::kDouble);
}

void store(NormalizeBy& by) {
  by.stored_mean = random_double({4}, 50);
  by.stored_var = random_double({4}, 51).square() + 0.5;
  by.mean_weights = by.var_weights = numbers({0.7, 0.3});
}

std::vector<Case> cases() {
  const Partition batch{Partition::kBatch, 1};
  return {
      {"batch", [=](auto& by) { by.sets = {batch}; }},
      {"blended with stored", [=](auto& by) { by.sets = {batch}, store(by); }},
      {"mixture", [=](auto& by) { by.sets = {batch}, store(by), by.mixture = true; }},
      {"live",
       [=](auto& by) {
         by.sets = {batch};
         by.mean_weights = by.var_weights = numbers({0.6, 0.4});
         by.reference_rows = 2;
       },
       2},
      {"three",
       [=](auto& by) {
         by.sets = {{1, 1}, {1, 4}, batch};
         by.mean_weights = numbers({0.2, 0.5, 0.3});
         by.var_weights = numbers({0.6, 0.1, 0.3});
       }},
      {"renormalized",
       [=](auto& by) {
         by.sets = {batch};
         by.renorm_mean = torch::full({4}, 0.1, torch::kDouble);
         by.renorm_var = torch::full({4}, 0.8, torch::kDouble);
         by.r_max = 1.3;
         by.d_max = 0.4;
       }},
  };
}

/// The reference's samples, then those of one process; or, for all of them, everybody's.
struct Input {
  Tensor reference, own;
  Tensor whole() const { return reference.defined() ? torch::cat({reference, own}) : own; }
};

struct Result {
  Tensor y, dx, dreference, dresidual, dweight, dbias, dmean_weights, dvar_weights, mean, var;
};

using Operator =
    std::function<Normalized(const Tensor&, const NormalizeBy&, const Tensor&, const Tensor&, const Then&)>;

/// Forward, and backward of sum(upstream · y) over the own samples.
Result result_of(const Operator& op, const Case& one, const Input& input, const Tensor& residual,
                 const Tensor& upstream) {
  NormalizeBy by;
  by.eps = 0.1;
  one.set(by);
  by.batch = batch_size_of(input.own.size(0), input.own.numel() / (input.own.size(0) * input.own.size(1)));
  const bool blended = by.mean_weights.defined();
  const auto leaf = [](const Tensor& tensor) { return tensor.detach().clone().requires_grad_(true); };
  if (blended) {
    by.mean_weights = leaf(by.mean_weights);
    by.var_weights = leaf(by.var_weights);
  }
  const Tensor x = leaf(input.whole());
  const Tensor weight = leaf(numbers({1.5, -0.5, 2, 1}));
  const Tensor bias = leaf(numbers({0.1, 0.2, -0.3, 0}));
  const std::int64_t rows = input.reference.defined() ? input.reference.size(0) : 0;
  const Tensor added =
      residual.defined() ? leaf(residual.narrow(0, residual.size(0) - x.size(0), x.size(0))) : Tensor();
  const Normalized out = op(x, by, weight, bias, {added, /*relu=*/residual.defined()});
  const Tensor y = out.y.narrow(0, rows, input.own.size(0));
  (y * upstream).sum().backward();
  Result result;
  result.y = y.detach();
  result.dx = x.grad().narrow(0, rows, input.own.size(0));
  if (rows > 0) result.dreference = x.grad().narrow(0, 0, rows);
  if (added.defined()) result.dresidual = added.grad().narrow(0, rows, input.own.size(0));
  result.dweight = weight.grad();
  result.dbias = bias.grad();
  if (blended) {
    result.dmean_weights = by.mean_weights.grad();
    result.dvar_weights = by.var_weights.grad();
  }
  const std::size_t batch_source = out.sources.size() - (rows > 0 ? 2 : 1);
  result.mean = out.sources[batch_source].mean;
  result.var = out.sources[batch_source].var;
  return result;
}

Normalized composed(const Tensor& x, const NormalizeBy& by, const Tensor& weight, const Tensor& bias,
                    const Then& then) {
  const auto maybe = [](const Tensor& tensor) {
    return tensor.defined() ? OptionalTensor(tensor) : c10::nullopt;
  };
  NormalizeSettings settings;
  settings.relu = then.relu;
  std::int64_t sets = 0;
  for (const Partition& partition : by.sets) {
    settings.sets.push_back(partition.samples);
    settings.sets.push_back(partition.channels);
    if (partition.samples != Partition::kBatch)
      sets += (x.size(0) - by.reference_rows) / partition.samples * (x.size(1) / partition.channels);
  }
  settings.reference_rows = by.reference_rows;
  settings.stored_mean = maybe(by.stored_mean);
  settings.stored_var = maybe(by.stored_var);
  settings.mixture = by.mixture;
  settings.eps = by.eps;
  settings.renorm_mean = maybe(by.renorm_mean);
  settings.renorm_var = maybe(by.renorm_var);
  settings.r_max = by.r_max;
  settings.d_max = by.d_max;
  settings.joint_values = by.batch.joint ? by.batch.values : 0;
  const Tensor one = numbers({1});
  const auto [y, mean, var, gate] = normalize_composed(
      {x, maybe(weight), maybe(bias), maybe(then.residual), by.mean_weights.defined() ? by.mean_weights : one,
       by.var_weights.defined() ? by.var_weights : one},
      settings);
  Normalized out{y, {}};
  out.sources.resize(by.reference_rows > 0 ? 2 : 1);
  out.sources[0] = {mean.narrow(0, sets, x.size(1)).view({1, -1}),
                    var.narrow(0, sets, x.size(1)).view({1, -1})};
  return out;
}

Tensor sum_of(const std::vector<Result>& parts, Tensor Result::*member) {
  Tensor sum = parts[0].*member;
  for (std::size_t i = 1; i < parts.size(); ++i) sum = sum + parts[i].*member;
  return sum;
}

Tensor joined(const std::vector<Result>& parts, Tensor Result::*member) {
  std::vector<Tensor> tensors;
  for (const Result& part : parts) tensors.push_back(part.*member);
  return torch::cat(tensors);
}

/// Processes with so many samples each against one with all of them.
void expect_joint_batch(const Operator& op, const Case& one, const std::vector<std::int64_t>& samples,
                        const std::vector<std::int64_t>& picture, bool channels_last, bool residual,
                        torch::ScalarType type, double tolerance) {
  const std::int64_t all = std::accumulate(samples.begin(), samples.end(), std::int64_t{0});
  const std::int64_t rows = one.reference_rows;
  std::vector<std::int64_t> shape{all + rows, 4};
  shape.insert(shape.end(), picture.begin(), picture.end());
  const auto made = [&](std::uint64_t seed) {
    const Tensor tensor = random_double(shape, seed).to(type);
    return channels_last ? tensor.contiguous(torch::MemoryFormat::ChannelsLast) : tensor;
  };
  const Tensor x = made(1) * 2 + 3;
  const Tensor added = residual ? made(2) : Tensor();
  const Tensor upstream = made(3);
  const auto part = [&](const Tensor& of, std::int64_t begin, std::int64_t count) {
    return of.narrow(0, rows + begin, count);
  };
  const Tensor reference = rows > 0 ? x.narrow(0, 0, rows) : Tensor();
  const Result whole = result_of(op, one, {reference, part(x, 0, all)}, added, part(upstream, 0, all));
  std::vector<Result> parts(samples.size());
  ThreadsAsProcesses(static_cast<int>(samples.size())).run([&](int rank) {
    const auto at = static_cast<std::size_t>(rank);
    const std::int64_t begin = std::accumulate(samples.begin(), samples.begin() + rank, std::int64_t{0});
    Tensor own_added = added;
    if (residual) own_added = part(added, begin, samples[at]);
    if (residual && rows > 0) own_added = torch::cat({added.narrow(0, 0, rows), own_added});
    parts[at] = result_of(op, one, {reference, part(x, begin, samples[at])}, own_added,
                          part(upstream, begin, samples[at]));
  });
  const std::string what = std::string(one.name) + (channels_last ? ", channels_last" : "") +
                           (residual ? ", residual" : "") + ", " + std::to_string(samples.size()) +
                           " processes";
  EXPECT_LT(distance(joined(parts, &Result::y), whole.y), tolerance) << what;
  EXPECT_LT(distance(joined(parts, &Result::dx), whole.dx), tolerance) << what;
  if (residual) {
    EXPECT_LT(distance(joined(parts, &Result::dresidual), whole.dresidual), tolerance) << what;
  }
  // Every process has its part of these; training adds them up.
  for (const auto member : {&Result::dweight, &Result::dbias, &Result::dreference, &Result::dmean_weights,
                            &Result::dvar_weights}) {
    if (!(whole.*member).defined()) continue;
    EXPECT_LT(distance(sum_of(parts, member), whole.*member), tolerance) << what;
  }
  for (const Result& one_part : parts) {
    EXPECT_LT(distance(one_part.mean, whole.mean), 1e-6) << what;
    EXPECT_LT(distance(one_part.var, whole.var), 1e-6) << what;
  }
}

TEST(JointStatistics, AreThoseOfTheJointBatchForwardAndBackward) {
  for (const Case& one : cases()) {
    for (const auto& samples : std::vector<std::vector<std::int64_t>>{{3, 3}, {1, 4}, {2, 1, 3, 2}}) {
      for (const bool residual : {false, true}) {
        expect_joint_batch(normalize, one, samples, {5}, false, residual, torch::kDouble, 1e-12);
        expect_joint_batch(normalize, one, samples, {3, 2}, false, residual, torch::kDouble, 1e-12);
        expect_joint_batch(normalize, one, samples, {3, 2}, true, residual, torch::kDouble, 1e-12);
        expect_joint_batch(normalize, one, samples, {3, 2}, false, residual, torch::kFloat, 1e-5);
      }
    }
  }
}

TEST(JointStatistics, AreThoseOfTheJointBatchWhereATensOperatorsDoTheWork) {
  for (const Case& one : cases()) {
    expect_joint_batch(composed, one, {3, 3}, {3, 2}, false, true, torch::kDouble, 1e-12);
    expect_joint_batch(composed, one, {2, 1, 3}, {5}, false, false, torch::kDouble, 1e-12);
  }
}

// A mean far above the deviation, and processes whose means differ: E[x^2] - E[x]^2 would lose all digits.
TEST(JointStatistics, AreMergedWithoutLossOfDigits) {
  const Tensor x = random_double({6, 4, 5}, 1) + 1e7;
  const Tensor whole = normalize(x, {.sets = {{Partition::kBatch, 1}}}, {}, {}).sources[0].var;
  ThreadsAsProcesses(2).run([&](int rank) {
    NormalizeBy by{.sets = {{Partition::kBatch, 1}}};
    by.batch = batch_size_of(3, 5);
    const Normalized out = normalize(x.narrow(0, 3 * rank, 3), by, {}, {});
    EXPECT_LT(distance(out.sources[0].var, whole), 1e-8);
  });
}

// Samples' own statistics, and those of virtual batches and references, stay where they are.
TEST(JointStatistics, ConcernTheBatchAlone) {
  ThreadsAsProcesses threads(2);
  threads.run([&](int rank) {
    const Tensor x = random_double({1, 4, 5}, static_cast<std::uint64_t>(rank));
    for (const Partition& sets : {Partition{1, 1}, {1, 4}, {1, 2}, {8, 1}}) {
      NormalizeBy by{.sets = {sets}};
      const Tensor synchronized = normalize(x, by, {}, {}).y;
      const SynchronizeStatistics not_now({});
      EXPECT_EQ(distance(synchronized, normalize(x, by, {}, {}).y), 0);
    }
  });
  EXPECT_EQ(threads.exchanges(), 0);
}

// Backward of a forward pass goes by what was installed then, wherever it runs.
TEST(JointStatistics, HoldForTheBackwardPassOfWhatTheyWereUsedFor) {
  const Tensor x = random_double({4, 2, 3}, 1);
  const Tensor upstream = random_double({4, 2, 3}, 2);
  const Tensor leaf = x.clone().requires_grad_(true);
  normalize(leaf, {.sets = {{Partition::kBatch, 1}}}, {}, {}).y.backward(upstream);
  ThreadsAsProcesses(2).run([&](int rank) {
    const Tensor own = x.narrow(0, 2 * rank, 2).clone().requires_grad_(true);
    NormalizeBy by{.sets = {{Partition::kBatch, 1}}};
    by.batch = batch_size_of(2, 3);
    const Tensor y = normalize(own, by, {}, {}).y;
    const SynchronizeStatistics not_any_more({});
    y.backward(upstream.narrow(0, 2 * rank, 2));
    EXPECT_LT(distance(own.grad(), leaf.grad().narrow(0, 2 * rank, 2)), 1e-12);
  });
}

}  // namespace
}  // namespace refnorm::ops
