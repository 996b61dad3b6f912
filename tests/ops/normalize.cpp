#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/library.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/kernels/simd_sweeps.h>
#include <refnorm/ops/instruction_set.h>
#include <refnorm/ops/normalize.h>
#include <refnorm/ops/normalize_call.h>

#include "tests/support/tensors.h"

namespace refnorm::ops {
namespace {

using refnorm::testing::distance;
using refnorm::testing::gradient_gap;
using refnorm::testing::random_double;
using refnorm::testing::second_gradient_gap;

Tensor numbers(std::initializer_list<double> values) {
  return torch::tensor(std::vector<double>(values), torch::kDouble);
}

struct Case {
  std::string name;
  NormalizeBy by;
};

/// The kinds of blends there are, for x of 6 samples and 4 channels.
std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const std::string& name, const std::function<void(NormalizeBy&)>& set) {
    NormalizeBy by;
    by.eps = 0.1;
    set(by);
    all.push_back({name, by});
  };
  const auto stored = [](NormalizeBy& by) {
    by.stored_mean = random_double({4}, 50);
    by.stored_var = random_double({4}, 51).square() + 0.5;
  };
  add("batch", [](auto& by) { by.sets = {{6, 1}}; });
  add("virtual batches", [](auto& by) { by.sets = {{4, 1}}; });
  add("virtual batches with a longer last one", [](auto& by) { by.sets = {{2, 1}}; });
  add("layer", [](auto& by) { by.sets = {{1, 4}}; });
  add("group", [](auto& by) { by.sets = {{1, 2}}; });
  add("instance", [](auto& by) { by.sets = {{1, 1}}; });
  add("stored", stored);
  add("batch and stored", [&](auto& by) {
    by.sets = {{6, 1}};
    stored(by);
    by.mean_weights = by.var_weights = numbers({0.7, 0.3});
  });
  add("mixture", [&](auto& by) {
    by.sets = {{6, 1}};
    stored(by);
    by.mean_weights = by.var_weights = numbers({0.7, 0.3});
    by.mixture = true;
  });
  add("live", [](auto& by) {
    by.sets = {{4, 1}};
    by.reference_rows = 2;
    by.mean_weights = by.var_weights = numbers({0.6, 0.4});
  });
  add("live mixture by sample", [](auto& by) {
    by.sets = {{1, 1}};
    by.reference_rows = 2;
    by.mean_weights = by.var_weights = numbers({0.25, 0.75});
    by.mixture = true;
  });
  add("three", [](auto& by) {
    by.sets = {{1, 1}, {1, 4}, {6, 1}};
    by.mean_weights = numbers({0.2, 0.5, 0.3});
    by.var_weights = numbers({0.6, 0.1, 0.3});
  });
  // Both limits bind, so that r and d are constants in finite differences as well.
  add("renormalized", [](auto& by) {
    by.sets = {{6, 1}};
    by.renorm_mean = torch::full({4}, -9.0, torch::kDouble);
    by.renorm_var = torch::full({4}, 0.01, torch::kDouble);
    by.r_max = 1.1;
    by.d_max = 0.2;
  });
  return all;
}

NormalizeOutputs composed(const Tensor& x, const NormalizeBy& by, const Tensor& weight, const Tensor& bias,
                          const Then& then) {
  const auto maybe = [](const Tensor& tensor) {
    return tensor.defined() ? OptionalTensor(tensor) : c10::nullopt;
  };
  const Tensor one = numbers({1});
  NormalizeSettings settings;
  settings.relu = then.relu;
  for (const Partition& sets : by.sets) {
    settings.sets.push_back(sets.samples);
    settings.sets.push_back(sets.channels);
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
  return normalize_composed(
      {x, maybe(weight), maybe(bias), maybe(then.residual), by.mean_weights.defined() ? by.mean_weights : one,
       by.var_weights.defined() ? by.var_weights : one},
      settings);
}

// The kernels against the same normalization composed of ATen's operators and differentiated by its autograd.
TEST(Normalize, EqualsItsCompositionInOutputStatisticsAndGradients) {
  for (const Case& one : cases()) {
    for (const auto& shape :
         std::vector<std::vector<std::int64_t>>{{6, 4, 5}, {6, 4, 3, 2}, {6, 4, 2, 3, 2}}) {
      for (const bool channels_last : {false, true}) {
        for (const bool residual : {false, true}) {
          Tensor x = random_double(shape, 1) * 2 + 3;
          if (channels_last && shape.size() == 4) x = x.contiguous(torch::MemoryFormat::ChannelsLast);
          if (channels_last && shape.size() == 5) x = x.contiguous(torch::MemoryFormat::ChannelsLast3d);
          const auto leaves = [&] {
            return std::vector<Tensor>{
                x.detach().clone().requires_grad_(true), random_double({4}, 2).requires_grad_(true),
                random_double({4}, 3).requires_grad_(true), random_double(shape, 4).requires_grad_(residual)};
          };
          const auto ours = leaves();
          const auto theirs = leaves();
          const Normalized out = normalize(ours[0], one.by, ours[1], ours[2],
                                           {residual ? ours[3] : Tensor(), /*relu=*/residual});
          const auto [y, mean, var, no_gate] =
              composed(theirs[0], one.by, theirs[1], theirs[2], {residual ? theirs[3] : Tensor(), residual});
          EXPECT_LT(distance(out.y, y), 1e-13) << one.name;
          EXPECT_TRUE(out.y.is_contiguous(x.suggest_memory_format())) << one.name;
          std::vector<Tensor> means;
          for (const SetMoments& source : out.sources) means.push_back(source.mean.flatten());
          if (!means.empty()) {
            EXPECT_LT(distance(torch::cat(means), mean), 1e-14) << one.name;
          }
          const Tensor upstream = random_double(shape, 5);
          (out.y * upstream).sum().backward();
          (y * upstream).sum().backward();
          for (std::size_t i = 0; i < ours.size(); ++i) {
            if (!ours[i].requires_grad()) continue;
            EXPECT_LT(distance(ours[i].grad(), theirs[i].grad()), 1e-12) << one.name << ", input " << i;
          }
        }
      }
    }
  }
}

// Where values fill bytes, backward behind an addition and ReLU keeps one bit a value of the output, whatever
// becomes of the output itself.
TEST(Normalize, OfASumAndReluNeedsNoOutputToGoBack) {
  NormalizeBy by;
  by.sets = {{4, 1}};
  for (const auto type : {torch::kDouble, torch::kFloat}) {
    // Vectors of four doubles, as of AVX2, fill no byte: there the output is kept, and must not change.
    const bool keeps_output = type == torch::kDouble && !kernels::sweeps<double>().has_gates;
    for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
      const auto leaf = [&](std::uint64_t seed) {
        return random_double({4, 8, 6, 4}, seed).to(type).contiguous(format).requires_grad_(true);
      };
      const Tensor x = leaf(30);
      const Tensor residual = leaf(31);
      const Tensor y = normalize(x, by, {}, {}, {residual, true}).y;
      const Tensor their_x = x.detach().to(torch::kDouble).requires_grad_(true);
      const Tensor their_residual = residual.detach().to(torch::kDouble).requires_grad_(true);
      const Tensor theirs =
          torch::relu(torch::batch_norm(their_x, {}, {}, {}, {}, true, 0.1, 1e-5, false) + their_residual);
      const double rounding = type == torch::kDouble ? 1e-12 : 1e-5;
      EXPECT_LT(distance(y, theirs), rounding);
      const Tensor upstream = random_double({4, 8, 6, 4}, 32);
      theirs.backward(upstream);
      y.detach().fill_(-1);
      if (keeps_output) {
        EXPECT_THROW(y.backward(upstream.to(type)), c10::Error);
        continue;
      }
      y.backward(upstream.to(type));
      EXPECT_LT(distance(x.grad(), their_x.grad()), rounding);
      EXPECT_LT(distance(residual.grad(), their_residual.grad()), rounding);
    }
  }
}

TEST(Normalize, GoesBackWithAnotherInstructionSetThanForward) {
  NormalizeBy by;
  by.sets = {{4, 1}};
  const std::string before = instruction_set();
  const Tensor x = random_double({4, 8, 6, 4}, 40).to(torch::kFloat).requires_grad_(true);
  const Tensor residual = random_double({4, 8, 6, 4}, 41).to(torch::kFloat).requires_grad_(true);
  const Tensor upstream = random_double({4, 8, 6, 4}, 42).to(torch::kFloat);
  const auto gradients = [&](const std::string& backward_set) {
    use_instruction_set(before);
    const Tensor y = normalize(x, by, {}, {}, {residual, true}).y;
    use_instruction_set(backward_set);
    return torch::autograd::grad({y}, {x, residual}, {upstream});
  };
  const auto expected = gradients(before);
  for (const std::string& set : instruction_sets()) {
    const auto found = gradients(set);
    EXPECT_LT(distance(found[0], expected[0]), 1e-5) << set;
    EXPECT_EQ(distance(found[1], expected[1]), 0) << set;
  }
  use_instruction_set(before);
}

TEST(Normalize, OfASumAndReluHasSecondDerivatives) {
  NormalizeBy by;
  by.sets = {{4, 1}};
  for (const std::int64_t positions : {8, 5}) {  // with a gate, and without
    const Tensor residual = random_double({4, 3, positions}, 33) * 2;
    const auto f = [&](const std::vector<Tensor>& in) {
      return normalize(in[0], by, in[1], in[2], {residual, true}).y.pow(2);
    };
    EXPECT_LT(second_gradient_gap(
                  f, {random_double({4, 3, positions}, 34), random_double({3}, 35), random_double({3}, 36)}),
              1e-5);
  }
}

TEST(Normalize, HasTheGradientsAndSecondDerivativesOfFiniteDifferences) {
  for (const Case& one : cases()) {
    const bool blends = one.by.mean_weights.defined() && !one.by.mixture;
    const auto f = [&](const std::vector<Tensor>& in) {
      NormalizeBy by = one.by;
      if (blends) {
        by.mean_weights = in[4];
        by.var_weights = in[5];
      }
      return normalize(in[0], by, in[1], in[2], {in[3], /*relu=*/false}).y;
    };
    std::vector<Tensor> inputs{random_double({6, 4, 2}, 6), random_double({4}, 7), random_double({4}, 8),
                               random_double({6, 4, 2}, 9)};
    if (blends) {
      inputs.push_back(one.by.mean_weights);
      inputs.push_back(one.by.var_weights);
    }
    EXPECT_LT(gradient_gap(f, inputs), 1e-6) << one.name;
    // y is linear in the residual, whose gradient has no graph of its own.
    std::vector<Tensor> curved(inputs.begin(), inputs.begin() + 3);
    const auto g = [&](const std::vector<Tensor>& in) {
      return normalize(in[0], one.by, in[1], in[2], {}).y.pow(2);
    };
    EXPECT_LT(second_gradient_gap(g, curved), 1e-5) << one.name;
  }
}

TEST(Normalize, WorksOnStridedViewsAndOnTypesWithoutKernels) {
  NormalizeBy by;
  by.sets = {{1, 4}};
  const Tensor base = random_double({3, 8, 10}, 10);
  const Tensor view = base.slice(1, 0, 8, 2).slice(2, 1, 10, 3);
  EXPECT_LT(distance(normalize(view, by, {}, {}).y, normalize(view.contiguous(), by, {}, {}).y), 1e-15);
  const Tensor half = base.to(torch::kHalf);
  by.sets = {{1, 8}};
  const Tensor y = normalize(half, by, {}, {}).y;
  EXPECT_EQ(y.scalar_type(), torch::kHalf);
  // 11 significant bits: half a unit in the last place of values below 4 is 2^-10.
  EXPECT_LT(distance(y, normalize(half.to(torch::kDouble), by, {}, {}).y), 0x1p-9);
}

// bfloat16 in and out, arithmetic in float32: the result is the exact one rounded to 8 significant bits.
TEST(Normalize, OfBfloat16IsWithinItsRounding) {
  for (const Case& one : cases()) {
    const Tensor x = (random_double({6, 4, 9}, 11) + 1).to(torch::kBFloat16);
    const Tensor exact = normalize(x.to(torch::kDouble), one.by, {}, {}).y;
    const Tensor y = normalize(x, one.by, {}, {}).y;
    EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
    EXPECT_TRUE(((y.to(torch::kDouble) - exact).abs() <= exact.abs() * 0x1p-8 + 1e-6).all().item<bool>())
        << one.name;
    const Tensor a = x.clone().requires_grad_(true);
    const Tensor b = x.to(torch::kDouble).requires_grad_(true);
    const Tensor upstream = random_double({6, 4, 9}, 12).to(torch::kBFloat16);
    normalize(a, one.by, {}, {}).y.backward(upstream);
    normalize(b, one.by, {}, {}).y.backward(upstream.to(torch::kDouble));
    EXPECT_EQ(a.grad().scalar_type(), torch::kBFloat16);
    const Tensor gap = (a.grad().to(torch::kDouble) - b.grad()).abs();
    EXPECT_TRUE((gap <= b.grad().abs() * 0x1p-8 + 1e-5).all().item<bool>()) << one.name;
  }
}

TEST(Normalize, TakesParametersOfAnotherPrecisionThanItsInput) {
  NormalizeBy by;
  by.sets = {{4, 1}};
  for (const auto& [input, parameter] :
       {std::pair{torch::kBFloat16, torch::kFloat}, {torch::kDouble, torch::kFloat}}) {
    const Tensor x = random_double({4, 3, 5}, 21).to(input).requires_grad_(true);
    const Tensor weight = torch::full({3}, 2.0, parameter).requires_grad_(true);
    const Tensor bias = torch::ones({3}, parameter).requires_grad_(true);
    const Tensor y = normalize(x, by, weight, bias).y;
    EXPECT_EQ(y.scalar_type(), input);
    y.sum().backward();
    EXPECT_EQ(weight.grad().scalar_type(), parameter);
    EXPECT_LT(distance(bias.grad(), torch::full({3}, 20.0)), 1e-12);  // 4 x 5 positions
  }
}

TEST(Normalize, GivesTheSameBitsAgainAndTheSameValuesForEveryNumberOfThreads) {
  NormalizeBy by;
  by.sets = {{32, 1}};
  for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast}) {
    const Tensor x = random_double({32, 5, 40, 40}, 22).to(torch::kFloat).contiguous(format);
    const int before = at::get_num_threads();
    at::set_num_threads(1);
    const Tensor one = normalize(x, by, {}, {}).y;
    at::set_num_threads(3);
    const Tensor three = normalize(x, by, {}, {}).y;
    const Tensor again = normalize(x, by, {}, {}).y;
    at::set_num_threads(before);
    EXPECT_LT(distance(three, one), 1e-6);
    EXPECT_EQ(distance(three, again), 0) << "not the same bits over repeated runs";
  }
}

TEST(Normalize, UnderAutocastKeepsItsInputsType) {
  NormalizeBy by;
  by.sets = {{4, 1}};
  at::autocast::set_cpu_enabled(true);
  const Tensor x = random_double({4, 3, 5}, 23).to(torch::kBFloat16);
  const Tensor y = normalize(x, by, torch::ones({3}), torch::zeros({3}), {torch::ones({4, 3, 5}), true}).y;
  at::autocast::set_cpu_enabled(false);
  EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
}

TEST(Normalize, HasShapesOnTheMetaDevice) {
  NormalizeBy by;
  by.sets = {{1, 2}};
  const Tensor x =
      torch::empty({3, 4, 5}, torch::dtype(torch::kFloat).device(torch::kMeta)).requires_grad_(true);
  const Normalized out = normalize(x, by, {}, {});
  EXPECT_EQ(out.y.sizes(), x.sizes());
  EXPECT_TRUE(out.y.is_meta());
  EXPECT_EQ(out.sources[0].mean.sizes().vec(), (std::vector<std::int64_t>{3, 2}));
  out.y.sum().backward();
  EXPECT_EQ(x.grad().sizes(), x.sizes());
}

TEST(Normalize, IsAnOperatorOfTheDispatcher) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("refnorm::normalize", "");
  // As a script or Python would call it: boxed, trailing arguments by their defaults.
  const Tensor x = random_double({4, 3, 5}, 24);
  torch::jit::Stack stack{x,
                          c10::IValue(),
                          c10::IValue(),
                          c10::IValue(),
                          numbers({1}),
                          numbers({1}),
                          false,
                          std::vector<std::int64_t>{4, 1}};
  for (std::size_t i = stack.size(); i < op.schema().arguments().size(); ++i) {
    stack.push_back(*op.schema().arguments()[i].default_value());
  }
  op.callBoxed(&stack);
  const Tensor expected = torch::batch_norm(x, {}, {}, {}, {}, true, 0.1, 1e-5, false);
  EXPECT_LT(distance(stack.at(0).toTensor(), expected), 1e-13);
}

TEST(Normalize, SaysWhatDoesNotFit) {
  NormalizeBy by;
  by.sets = {{4, 1}};
  const Tensor x = torch::ones({4, 3, 5});
  const auto message = [&](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "nothing was thrown";
  };
  EXPECT_NE(
      message([&] { normalize(x, by, torch::ones({4}), {}); }).find("weight has the shape [4], expected [3]"),
      std::string::npos);
  EXPECT_NE(message([&] {
              normalize(x, by, {}, {}, {torch::ones({4, 3, 6}), false});
            }).find("residual"),
            std::string::npos);
  by.sets = {{4, 2}};
  EXPECT_NE(message([&] { normalize(x, by, {}, {}); }).find("channels do not divide"), std::string::npos);
  EXPECT_NE(message([&] { normalize(x.to(torch::kHalf), by, {}, {}); }).find("channels do not divide"),
            std::string::npos);
  by.sets = {{4, 1}};
  EXPECT_NE(message([&] { normalize(torch::ones({4}), by, {}, {}); }).find("expected x[N, C, *]"),
            std::string::npos);
  EXPECT_NE(message([&] {
              normalize(torch::ones({4, 3}, torch::kLong), by, {}, {});
            }).find("floating-point"),
            std::string::npos);
}

}  // namespace
}  // namespace refnorm::ops
