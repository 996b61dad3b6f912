#include <bit>
#include <cmath>
#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include <refnorm/base/random.h>
#include <refnorm/kernels/normalize.h>
#include <refnorm/kernels/simd_sweeps.h>

namespace refnorm::kernels {
namespace {

using Values = std::vector<double>;

/// What is normalized and by which blend, in double; layouts are made of it.
struct Case {
  std::string name;
  Shape shape;
  Blend blend;
  Values weight, bias, stored_mean, stored_var;
  bool relu = false;
  bool residual = false;
};

std::size_t place(const Shape& shape, std::int64_t n, std::int64_t c, std::int64_t s) {
  return static_cast<std::size_t>(shape.layout == Layout::kPlanar
                                      ? (n * shape.channels + c) * shape.positions + s
                                      : (n * shape.positions + s) * shape.channels + c);
}

struct Moments {
  double mean = 0, var = 0;
};

/// Mean and biased variance of all values of samples [n0, n1) and channels [c0, c1), by their definition.
Moments moments_of(const Case& given, const Values& x, std::int64_t n0, std::int64_t n1, std::int64_t c0,
                   std::int64_t c1) {
  Moments out;
  double count = 0;
  const auto each = [&](const auto& body) {
    for (std::int64_t n = n0; n < n1; ++n)
      for (std::int64_t c = c0; c < c1; ++c)
        for (std::int64_t s = 0; s < given.shape.positions; ++s) body(x[place(given.shape, n, c, s)]);
  };
  each([&](double value) { out.mean += value, ++count; });
  out.mean /= count;
  each([&](double value) { out.var += (value - out.mean) * (value - out.mean); });
  out.var /= count;
  return out;
}

Moments set_moments(const Case& given, const Values& x, const Partition& partition, std::int64_t n,
                    std::int64_t c) {
  const std::int64_t first = given.blend.reference_rows;
  const std::int64_t own = given.shape.samples - first;
  const std::int64_t blocks = std::max<std::int64_t>(1, own / partition.samples);
  const std::int64_t block = std::min((n - first) / partition.samples, blocks - 1);
  const std::int64_t end =
      block == blocks - 1 ? given.shape.samples : first + (block + 1) * partition.samples;
  const std::int64_t group = c / partition.channels;
  return moments_of(given, x, first + block * partition.samples, end, group * partition.channels,
                    (group + 1) * partition.channels);
}

/// The docstring of Blend, value by value.
Values expected(const Case& given, const Values& x, const Values& residual) {
  Values y(x.size());
  const Blend& blend = given.blend;
  for (std::int64_t n = 0; n < given.shape.samples; ++n) {
    for (std::int64_t c = 0; c < given.shape.channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      std::vector<Moments> sources;
      Moments by;
      if (n < blend.reference_rows) {
        by = moments_of(given, x, 0, blend.reference_rows, c, c + 1);
      } else {
        for (const Partition& partition : blend.partitions)
          sources.push_back(set_moments(given, x, partition, n, c));
        if (blend.reference_rows > 0)
          sources.push_back(moments_of(given, x, 0, blend.reference_rows, c, c + 1));
        if (!given.stored_mean.empty())
          sources.push_back({given.stored_mean[channel], given.stored_var[channel]});
        for (std::size_t k = 0; k < sources.size(); ++k) {
          by.mean += blend.mean_weights[k] * sources[k].mean;
          by.var += blend.var_weights[k] * sources[k].var;
        }
        for (std::size_t k = 0; blend.mixture && k < sources.size(); ++k)
          by.var += blend.mean_weights[k] * std::pow(sources[k].mean - by.mean, 2);
      }
      for (std::int64_t s = 0; s < given.shape.positions; ++s) {
        const std::size_t i = place(given.shape, n, c, s);
        double value = (x[i] - by.mean) / std::sqrt(by.var + blend.eps);
        value = given.weight[channel] * value + given.bias[channel];
        if (given.residual) value += residual[i];
        y[i] = given.relu && value <= 0 ? 0 : value;
      }
    }
  }
  return y;
}

Values draw(std::size_t count, const std::string& stream, double centre = 0, double width = 2) {
  RandomStream random(7, stream);
  Values values(count);
  for (double& value : values) value = centre + width * (random.uniform() - 0.5);
  return values;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](const std::string& name, std::int64_t n, std::int64_t c, std::int64_t s, Blend blend,
                       bool stored = false) {
    for (const Layout layout : {Layout::kPlanar, Layout::kChannelsLast}) {
      Case one{name, {n, c, s, layout}, blend, {}, {}, {}, {}, false, false};
      one.blend.eps = 1e-3;
      one.weight = draw(static_cast<std::size_t>(c), "weight", 1);
      one.bias = draw(static_cast<std::size_t>(c), "bias");
      if (stored) {
        one.stored_mean = draw(static_cast<std::size_t>(c), "stored mean");
        one.stored_var = draw(static_cast<std::size_t>(c), "stored var", 1.5, 1);
      }
      all.push_back(one);
      one.relu = true;
      all.push_back(one);
      one.residual = true;
      all.push_back(one);
    }
  };
  for (const std::int64_t s : {1, 5}) {
    add("batch", 6, 4, s, {.partitions = {{6, 1}}, .mean_weights = {1}, .var_weights = {1}});
    add("virtual batches", 7, 4, s, {.partitions = {{3, 1}}, .mean_weights = {1}, .var_weights = {1}});
    add("layer", 3, 4, s, {.partitions = {{1, 4}}, .mean_weights = {1}, .var_weights = {1}});
    add("group", 3, 6, s, {.partitions = {{1, 2}}, .mean_weights = {1}, .var_weights = {1}});
    add("batch and stored", 4, 3, s,
        {.partitions = {{4, 1}}, .mean_weights = {0.7, 0.3}, .var_weights = {0.7, 0.3}}, true);
    add("mixture", 4, 3, s,
        {.partitions = {{4, 1}}, .mean_weights = {0.6, 0.4}, .var_weights = {0.6, 0.4}, .mixture = true},
        true);
    add("live", 5, 3, s,
        {.partitions = {{3, 1}}, .reference_rows = 2, .mean_weights = {0.7, 0.3}, .var_weights = {0.7, 0.3}});
    add("each sample and live", 6, 3, s,
        {.partitions = {{1, 1}},
         .reference_rows = 3,
         .mean_weights = {0.25, 0.75},
         .var_weights = {0.25, 0.75},
         .mixture = true});
    add("three", 4, 6, s,
        {.partitions = {{1, 1}, {1, 6}, {4, 1}},
         .mean_weights = {0.2, 0.5, 0.3},
         .var_weights = {0.6, 0.1, 0.3}});
    add("stored alone", 4, 3, s, {.mean_weights = {1}, .var_weights = {1}}, true);
  }
  add("instance", 3, 4, 5, {.partitions = {{1, 1}}, .mean_weights = {1}, .var_weights = {1}});
  return all;
}

/// Threads of its own, in an order of their own: results must not depend on it.
Workers threads(int count) {
  return {count, [count](std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
            std::vector<std::thread> pool;
            for (int t = 0; t < count; ++t) {
              pool.emplace_back([&, t] {
                for (std::int64_t task = tasks - 1 - t; task >= 0; task -= count) body(task);
              });
            }
            for (std::thread& one : pool) one.join();
          }};
}

template <class T>
Problem<T> problem_of(const Case& given, const T* x) {
  return {given.shape, &given.blend, {given.weight, given.bias}, &plain_sweeps<T>(), given.relu, x};
}

struct Forward {
  Values y, mean, var;
};

Forward forward(Case& given, const Values& x, const Values& residual, const Workers& workers) {
  given.blend.stored_mean = given.stored_mean;
  given.blend.stored_var = given.stored_var;
  const auto sets = static_cast<std::size_t>(StatisticSets(given.shape, given.blend).sets());
  Forward out{Values(x.size()), Values(sets), Values(sets)};
  normalize<double>(problem_of(given, x.data()), given.residual ? residual.data() : nullptr,
                    {out.y.data(), out.mean.data(), out.var.data()}, workers);
  return out;
}

double gap(const Values& a, const Values& b) {
  double worst = a.size() == b.size() ? 0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST(Normalize, FollowsTheDefinitionForEveryKindOfSets) {
  for (Case given : cases()) {
    const auto count = static_cast<std::size_t>(given.shape.values());
    const Values x = draw(count, "x", 3, 4);
    const Values residual = draw(count, "residual");
    given.blend.stored_mean = given.stored_mean;
    for (const int workers : {1, 2, 5}) {
      EXPECT_LT(gap(forward(given, x, residual, threads(workers)).y, expected(given, x, residual)), 1e-12)
          << given.name << ", " << workers << " workers";
    }
  }
}

/// sum(upstream · y), whose derivatives backward gives.
double objective(Case& given, const Values& x, const Values& residual, const Values& upstream) {
  const Values y = expected(given, x, residual);
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += upstream[i] * y[i];
  return sum;
}

/// Central differences of the definition above, towards each of `at`.
Values differences(Values& at, const std::function<double()>& f) {
  constexpr double kStep = 1e-5;
  Values out;
  for (double& value : at) {
    const double before = value;
    value = before + kStep;
    const double above = f();
    value = before - kStep;
    out.push_back((above - f()) / (2 * kStep));
    value = before;
  }
  return out;
}

TEST(NormalizeBackward, HasTheDerivativesOfTheDefinition) {
  for (Case given : cases()) {
    const auto count = static_cast<std::size_t>(given.shape.values());
    Values x = draw(count, "x", 3, 4);
    Values residual = draw(count, "residual");
    const Values upstream = draw(count, "upstream");
    const Forward seen = forward(given, x, residual, sequential());
    const auto channels = static_cast<std::size_t>(given.shape.channels);
    const std::size_t sources = given.blend.mean_weights.size();
    for (const int workers : {1, 2, 5}) {
      Values dx(count), dresidual(count), weight(channels), bias(channels), means(sources), vars(sources);
      normalize_backward<double>(
          problem_of(given, x.data()),
          {upstream.data(), given.residual ? seen.y.data() : nullptr, {seen.mean.data(), seen.var.data()}},
          {dx.data(), given.residual ? dresidual.data() : nullptr, weight.data(), bias.data(), means.data(),
           vars.data()},
          threads(workers));
      const auto f = [&] { return objective(given, x, residual, upstream); };
      const std::string what = given.name + ", " + std::to_string(workers) + " workers";
      EXPECT_LT(gap(dx, differences(x, f)), 1e-7) << what;
      if (given.residual) {
        EXPECT_LT(gap(dresidual, differences(residual, f)), 1e-7) << what;
      }
      EXPECT_LT(gap(weight, differences(given.weight, f)), 1e-7) << what;
      EXPECT_LT(gap(bias, differences(given.bias, f)), 1e-7) << what;
      if (!given.blend.mixture) {  // whose gradient holds for weights that keep their sum
        EXPECT_LT(gap(means, differences(given.blend.mean_weights, f)), 1e-7) << what;
      }
      EXPECT_LT(gap(vars, differences(given.blend.var_weights, f)), 1e-7) << what;
    }
  }
}

// Renormalization: V + eps = 4 of the batch {-2, 2} (eps 0), t_var = 1: r = 2, and M = 5 against t_mean = 4:
// d = 1. x^ = ∓1, y = 3 · (2·x^ + 1) + 1.
TEST(Normalize, RenormalizesWithinItsLimits) {
  const Values x{3, 7};
  const Values weight{3};
  const Values bias{1};
  const Values target_mean{4};
  const Values target_var{1};
  Blend blend{.partitions = {{2, 1}}, .mean_weights = {1}, .var_weights = {1}};
  const auto y_with = [&](double r_max, double d_max) {
    blend.renormalization = {target_mean, target_var, r_max, d_max};
    Values y(2);
    double mean = 0;
    double var = 0;
    normalize<double>(
        {{2, 1, 1, Layout::kPlanar}, &blend, {weight, bias}, &plain_sweeps<double>(), false, x.data()},
        nullptr, {y.data(), &mean, &var}, sequential());
    return y;
  };
  EXPECT_EQ(y_with(10, 10), (Values{-2, 10}));
  EXPECT_EQ(y_with(1.5, 0.25), (Values{3 * (-1.5 + 0.25) + 1, 3 * (1.5 + 0.25) + 1}));
  EXPECT_EQ(y_with(1, 0), (Values{-2, 4})) << "batch norm";
}

/// Large enough for chunks and slices of several sizes; one result for any way of cutting.
TEST(Normalize, GivesTheSameOverManyChunksAndSlices) {
  struct Size {
    std::int64_t n, c, s;
  };
  for (const Size& size : {Size{8, 32, 3000}, {3, 48, 700}, {1, 5, 9000}, {200, 130, 1}, {2000, 3, 7}}) {
    for (const Layout layout : {Layout::kPlanar, Layout::kChannelsLast}) {
      const std::int64_t group = size.c % 2 == 0 ? size.c / 2 : size.c;
      for (const Partition& sets : {Partition{size.n, 1}, {1, size.c}, {1, group}, {1, 1}, {2, 1}}) {
        if (sets.channels == 1 && sets.samples == 1 && size.s == 1) continue;
        Case given{"large",
                   {size.n, size.c, size.s, layout},
                   {.partitions = {sets}, .mean_weights = {1}, .var_weights = {1}, .eps = 1e-5},
                   draw(static_cast<std::size_t>(size.c), "weight", 1),
                   draw(static_cast<std::size_t>(size.c), "bias"),
                   {},
                   {}};
        const Values x = draw(static_cast<std::size_t>(given.shape.values()), "x", 3);
        const Values plain = expected(given, x, {});
        for (const int workers : {1, 2, 3})
          EXPECT_LT(gap(forward(given, x, {}, threads(workers)).y, plain), 1e-11);
      }
    }
  }
}

// All bits of a NaN's payload set, as memory filled with ones has them: rounding such a number to bfloat16
// would carry into the sign and give zero.
TEST(Normalize, AnyNanOfAParameterComesOutAsNan) {
  const Shape shape{2, 3, 40, Layout::kPlanar};
  const Blend blend{.partitions = {{2, 1}}, .mean_weights = {1}, .var_weights = {1}, .eps = 1e-5};
  const double strange = std::bit_cast<double>(~std::uint64_t{0});
  const auto count = static_cast<std::size_t>(shape.values());
  std::vector<Bfloat16> x;
  for (const double value : draw(count, "x")) x.push_back(to_bfloat16(static_cast<float>(value)));
  for (const bool in_weight : {true, false}) {
    const Values weight{1, in_weight ? strange : 1, 1};
    const Values bias{0, in_weight ? 0 : strange, 0};
    std::vector<Bfloat16> y(count);
    Values mean(3), var(3);
    const Problem<Bfloat16> problem{shape, &blend, {weight, bias}, &sweeps<Bfloat16>(), false, x.data()};
    normalize<Bfloat16>(problem, nullptr, {y.data(), mean.data(), var.data()}, sequential());
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(std::isnan(to_float(y[i])), i / 40 % 3 == 1) << i << ", weight " << in_weight;
    }
  }
}

TEST(Normalize, KeepsFourDigitsOfFloatsFarFromZero) {
  const Shape shape{16, 4, 64, Layout::kPlanar};
  const auto count = static_cast<std::size_t>(shape.values());
  std::vector<float> x;
  for (const double value : draw(count, "far", 1e4)) x.push_back(static_cast<float>(value));
  Case given{"far",
             shape,
             {.partitions = {{16, 1}}, .mean_weights = {1}, .var_weights = {1}, .eps = 1e-5},
             Values(4, 1.0),
             Values(4, 0.0),
             {},
             {}};
  std::vector<float> y(count);
  Values mean(4), var(4);
  normalize<float>(problem_of(given, x.data()), nullptr, {y.data(), mean.data(), var.data()}, sequential());
  // The floats as they are, in double: their differences from the mean are exact to 1e-12.
  EXPECT_LT(gap(Values(y.begin(), y.end()), expected(given, Values(x.begin(), x.end()), {})), 5e-6);
}

TEST(StatisticSets, RefuseWhatDoesNotFit) {
  const Shape shape{6, 4, 1, Layout::kPlanar};
  const auto sets = [&](Blend blend) { return [=] { StatisticSets(shape, blend); }; };
  EXPECT_THROW(sets({.partitions = {{1, 3}}, .mean_weights = {1}, .var_weights = {1}})(),
               std::invalid_argument);
  EXPECT_THROW(sets({.partitions = {{2, 1}, {3, 1}}, .mean_weights = {1, 1}, .var_weights = {1, 1}})(),
               std::invalid_argument);
  EXPECT_THROW(sets({.partitions = {{6, 1}}, .mean_weights = {1, 1}, .var_weights = {1, 1}})(),
               std::invalid_argument);
  EXPECT_THROW(
      sets({.partitions = {{6, 1}}, .reference_rows = 7, .mean_weights = {1, 1}, .var_weights = {1, 1}})(),
      std::invalid_argument);
  EXPECT_THROW(sets({})(), std::invalid_argument);
}

}  // namespace
}  // namespace refnorm::kernels
