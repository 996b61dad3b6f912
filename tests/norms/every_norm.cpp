#include <limits>
#include <sstream>

#include <gtest/gtest.h>
#include <torch/serialize.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/base/error.h>
#include <refnorm/norms/batch_statistics.h>

#include "tests/norms/layers.h"

// What holds for every norm of the registry, each through its spec.

namespace refnorm {
namespace {

using refnorm::testing::distance;
using refnorm::testing::double_layer;
using refnorm::testing::every_spec;
using refnorm::testing::gradient_gap;
using refnorm::testing::random_double;
using refnorm::testing::second_gradient_gap;
using refnorm::testing::state_of;
using refnorm::testing::WithReferenceRows;
using torch::Tensor;

class EveryNorm : public ::testing::TestWithParam<std::string> {};

/// Updates nothing, so that calls repeat.
std::shared_ptr<NormLayer> still(const std::shared_ptr<NormLayer>& layer) {
  if (const auto batch = std::dynamic_pointer_cast<BatchStatisticsLayer>(layer))
    batch->update_statistics(false);
  return layer;
}

/// Batch renormalization's r and d are constants to the gradient but not to finite differences: as batch
/// norm.
std::string differentiable(const std::string& spec) {
  return spec.starts_with("brn") ? "brn:r_max=1,d_max=0" : spec;
}

TEST_P(EveryNorm, HasTheGradientsOfFiniteDifferences) {
  for (const auto& shape : std::vector<std::vector<std::int64_t>>{{4, 4, 2, 3}, {4, 4}}) {
    const int dims = static_cast<int>(shape.size()) - 2;
    const auto layer = still(double_layer(differentiable(GetParam()), 4, dims));
    const WithReferenceRows rows(*layer, 2);
    const auto f = [&](const std::vector<Tensor>& in) { return layer->forward(in[0]); };
    EXPECT_LT(gradient_gap(f, {random_double(shape, 1)}), 2e-6);
    const auto square = [&](const std::vector<Tensor>& in) { return layer->forward(in[0]).square(); };
    EXPECT_LT(second_gradient_gap(square, {random_double(shape, 1)}), 2e-5);
  }
}

TEST_P(EveryNorm, HasTheGradientsOfItsParameters) {
  const auto layer = still(double_layer(differentiable(GetParam())));
  const WithReferenceRows rows(*layer, 2);
  const Tensor x = random_double({4, 4, 2, 3}, 2);
  const Tensor upstream = random_double({4, 4, 2, 3}, 3);
  const auto objective = [&] { return (layer->forward(x) * upstream).sum(); };
  if (layer->parameters().empty()) return;
  objective().backward();
  const torch::NoGradGuard no_grad;
  for (Tensor& parameter : layer->parameters()) {
    Tensor numeric = torch::zeros_like(parameter);
    for (std::int64_t i = 0; i < parameter.numel(); ++i) {
      const double before = parameter[i].item<double>();
      parameter[i] = before + 1e-6;
      const double above = objective().item<double>();
      parameter[i] = before - 1e-6;
      numeric[i] = (above - objective().item<double>()) / 2e-6;
      parameter[i] = before;
    }
    EXPECT_LT(distance(parameter.grad(), numeric), 1e-7);
  }
}

TEST_P(EveryNorm, TakesResidualAndActivationInTheSameSweep) {
  const auto layer = still(double_layer(GetParam()));
  const WithReferenceRows rows(*layer, 2);
  const Tensor base = random_double({5, 4, 3, 3}, 4);
  const Tensor other = random_double({5, 4, 3, 3}, 5);
  const Tensor upstream = random_double({5, 4, 3, 3}, 6);
  const auto run = [&](const std::function<Tensor(const Tensor&, const Tensor&)>& f) {
    const Tensor x = base.clone().requires_grad_(true);
    const Tensor residual = other.clone().requires_grad_(true);
    const Tensor y = f(x, residual);
    y.backward(upstream);
    return std::vector<Tensor>{y, x.grad(), residual.grad()};
  };
  const auto fused =
      run([&](const Tensor& x, const Tensor& residual) { return norm_act(*layer, x, residual); });
  const auto plain =
      run([&](const Tensor& x, const Tensor& residual) { return torch::relu(layer->forward(x) + residual); });
  for (std::size_t i = 0; i < fused.size(); ++i) EXPECT_LT(distance(fused[i], plain[i]), 1e-13) << i;
  EXPECT_LT(distance(norm_act(*layer, base, {}, false), layer->forward(base)), 1e-15);
}

TEST_P(EveryNorm, SurvivesCloneSaveLoadAndChangeOfType) {
  const auto layer = double_layer(GetParam());
  layer->eval();
  const Tensor x = random_double({3, 4, 2, 2}, 7);
  const Tensor expected = layer->forward(x);
  const auto copy = std::dynamic_pointer_cast<NormLayer>(layer->clone());
  copy->eval();
  EXPECT_EQ(distance(copy->forward(x), expected), 0) << "clone";
  for (Tensor& parameter : copy->parameters()) {
    const torch::NoGradGuard no_grad;
    parameter.fill_(7);
  }
  EXPECT_EQ(distance(layer->forward(x), expected), 0) << "the clone shares its parameters";

  std::stringstream file;
  torch::serialize::OutputArchive out;
  layer->save(out);
  out.save_to(file);
  const auto loaded = make_norm(NormSpec::parse(GetParam()), 4, 2);
  loaded->to(torch::kDouble);
  torch::serialize::InputArchive in;
  in.load_from(file);
  loaded->load(in);
  loaded->eval();
  EXPECT_EQ(distance(loaded->forward(x), expected), 0) << "save and load";

  layer->to(torch::kFloat);
  EXPECT_LT(distance(layer->forward(x.to(torch::kFloat)), expected), 1e-5) << "float32";
  for (const auto& [name, tensor] : state_of(*layer)) {
    EXPECT_EQ(tensor.scalar_type(), name.starts_with("num_") ? torch::kLong : torch::kFloat) << name;
  }
  layer->to(torch::kDouble);
  layer->to(torch::Device(torch::kCPU));
  EXPECT_LT(distance(layer->forward(x), expected), 1e-5);
}

TEST_P(EveryNorm, LeavesEverythingAsItIsForAnEmptyBatch) {
  const auto layer = double_layer(GetParam());
  std::vector<Tensor> before;
  for (const auto& [name, tensor] : state_of(*layer)) before.push_back(tensor.clone());
  const Tensor x = torch::empty({0, 4, 2, 2}, torch::kDouble).requires_grad_(true);
  const Tensor y = layer->forward(x);
  EXPECT_EQ(y.sizes(), x.sizes());
  y.sum().backward();
  for (const Tensor& parameter : layer->parameters())
    EXPECT_EQ(parameter.grad().abs().sum().item<double>(), 0);
  const auto after = state_of(*layer);
  for (std::size_t i = 0; i < after.size(); ++i)
    EXPECT_EQ(distance(after[i].second, before[i]), 0) << after[i].first;
}

TEST_P(EveryNorm, IsPrintedAndReset) {
  const auto layer = double_layer(GetParam());
  std::ostringstream text;
  layer->pretty_print(text);
  EXPECT_TRUE(text.str().starts_with("refnorm::")) << text.str();
  EXPECT_EQ(text.str().find('\n'), std::string::npos);
  layer->reset_parameters();
  const auto fresh = make_norm(NormSpec::parse(GetParam()), 4, 2);
  const auto now = state_of(*layer);
  const auto then = state_of(*fresh);
  ASSERT_EQ(now.size(), then.size());
  for (std::size_t i = 0; i < now.size(); ++i)
    EXPECT_EQ(distance(now[i].second, then[i].second), 0) << now[i].first;
}

TEST_P(EveryNorm, FreezesAndUnfreezes) {
  const auto layer = double_layer(GetParam());
  if (GetParam().find("vbn") == 0) return;  // goes by its reference in every mode
  layer->eval();
  const Tensor x = random_double({4, 4, 2, 2}, 8);
  const Tensor expected = layer->forward(x);
  layer->train();
  freeze(*layer);
  EXPECT_EQ(distance(layer->forward(x), expected), 0) << "in train(), a frozen layer does as in eval()";
  for (const Tensor& parameter : layer->parameters()) EXPECT_FALSE(parameter.requires_grad());
  unfreeze(*layer);
  for (const Tensor& parameter : layer->parameters()) EXPECT_TRUE(parameter.requires_grad());
  const auto batch = std::dynamic_pointer_cast<BatchStatisticsLayer>(layer);
  EXPECT_FALSE(batch && batch->frozen());
}

// Hostile inputs in float32 against the same layer in float64 on the same numbers.

struct Hostile {
  std::string name;
  std::function<Tensor()> make;
  double tolerance;
};

std::vector<Hostile> hostile_inputs() {
  const auto spread = [](double centre, double width) {
    return [=] { return random_double({6, 4, 5, 5}, 9) * width + centre; };
  };
  return {
      // 1e4 ± 1: the numbers themselves have steps of 2^-10, the same in both; 4 digits of the result must
      // stay.
      {"mean far above the deviation", spread(1e4, 1), 1e-4},
      {"tiny", spread(0, 1e-20), 1e-5},
      {"large", spread(0, 1e15), 1e-5},
      {"constant",
       [] {
         return torch::full({6, 4, 5, 5}, 3.25, torch::kDouble);
       },
       1e-5},
      {"one constant channel",
       [=] {
         Tensor x = spread(1, 2)();
         x.select(1, 2).fill_(-7.5);
         return x;
       },
       1e-5},
      {"one outlier",
       [=] {
         Tensor x = spread(0, 1)();
         x[0][0][0][0] = 1e6;
         return x;
       },
       1e-4},
      {"few values",
       [] {
         return random_double({6, 4, 1, 2}, 10);
       },
       1e-5},
      {"misaligned",
       [=] {
         return random_double({6 * 4 * 25 + 1}, 11).narrow(0, 1, 6 * 4 * 25).view({6, 4, 5, 5});
       },
       1e-5},
      {"every other column",
       [] {
         return random_double({6, 4, 5, 10}, 12).slice(3, 0, 10, 2);
       },
       1e-5},
      {"a transposed view",
       [] {
         return random_double({4, 6, 5, 5}, 13).transpose(0, 1);
       },
       1e-5},
  };
}

TEST_P(EveryNorm, StandsHostileInputs) {
  for (const Hostile& hostile : hostile_inputs()) {
    // The layer's own numbers as float32 holds them, in both precisions.
    const auto single = double_layer(GetParam());
    single->to(torch::kFloat);
    const auto wide = std::dynamic_pointer_cast<NormLayer>(single->clone());
    wide->to(torch::kDouble);
    const Tensor x = hostile.make().to(torch::kFloat);
    const WithReferenceRows rows_single(*single, 2);
    const WithReferenceRows rows_wide(*wide, 2);
    const Tensor a = x.detach().clone(torch::MemoryFormat::Preserve).requires_grad_(true);
    const Tensor b = x.to(torch::kDouble).requires_grad_(true);
    const Tensor y = single->forward(a);
    const Tensor exact = wide->forward(b);
    EXPECT_TRUE(torch::isfinite(y).all().item<bool>()) << hostile.name;
    EXPECT_LT(distance(y, exact), hostile.tolerance) << hostile.name;
    const Tensor upstream = random_double(x.sizes(), 14);
    y.backward(upstream.to(torch::kFloat));
    exact.backward(upstream.to(torch::kFloat).to(torch::kDouble));
    const double scale = std::max(b.grad().abs().max().item<double>(), 1e-30);
    const double gap = (a.grad().to(torch::kDouble) - b.grad()).abs().max().item<double>() / scale;
    EXPECT_LT(gap, std::max(hostile.tolerance, 1e-4)) << hostile.name << ", gradient";
  }
}

TEST_P(EveryNorm, KeepsWhatIsNotFiniteWhereItIs) {
  if (GetParam() == "none") return;
  const auto layer = double_layer(GetParam());
  const WithReferenceRows rows(*layer, 2);
  const auto before = state_of(*layer);
  Tensor x = random_double({6, 4, 3, 3}, 15);
  x[4][1][0][0] = std::numeric_limits<double>::quiet_NaN();
  const Tensor y = norm_act(*layer, x);
  EXPECT_TRUE(torch::isnan(y[4][1][0][0]).item<bool>()) << "a NaN must not be hidden by the ReLU";
  for (const auto& [name, tensor] : state_of(*layer)) {
    EXPECT_TRUE(torch::isfinite(tensor).all().item<bool>()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, EveryNorm, ::testing::ValuesIn(every_spec()), [](const auto& test) {
  std::string name = test.param;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace refnorm
