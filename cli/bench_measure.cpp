#include "bench_measure.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include <refnorm/base/timing.h>

#include "bench_cached.h"
#include "bench_contender.h"
#include "bench_floor.h"

namespace refnorm::cli {
namespace {

/// Repeats before anything counts: code, caches and pages of memory are warm then.
constexpr int kWarmUps = 2;

/// One round of a contender that has forward(), backward() and release().
void time_contender(Contender& contender, double min_time, Rounds& rounds) {
  std::vector<double> forward, backward, both;
  const Stopwatch whole;
  do {
    contender.release();
    const Stopwatch watch;
    contender.forward();
    const double middle = watch.seconds();
    contender.backward();
    const double end = watch.seconds();
    forward.push_back(middle);
    backward.push_back(end - middle);
    both.push_back(end);
  } while (whole.seconds() < min_time);
  contender.release();
  rounds.forward.push_back(median(forward));
  rounds.backward.push_back(median(backward));
  rounds.both.push_back(median(both));
}

/// One round of the floor, or of two sweeps: the fastest way of each pass.
template <class Forward, class Backward>
void time_ways(const Forward& go_forward, const Backward& go_backward, double min_time, Rounds& rounds) {
  double best_forward = 0, best_backward = 0;
  for (int way = 0; way < MemoryFloor::kWays; ++way) {
    std::vector<double> forward, backward;
    const Stopwatch whole;
    do {
      const Stopwatch watch;
      go_forward(way);
      const double middle = watch.seconds();
      go_backward(way);
      forward.push_back(middle);
      backward.push_back(watch.seconds() - middle);
    } while (whole.seconds() < min_time / MemoryFloor::kWays);
    const double this_forward = median(forward), this_backward = median(backward);
    best_forward = way == 0 ? this_forward : std::min(best_forward, this_forward);
    best_backward = way == 0 ? this_backward : std::min(best_backward, this_backward);
  }
  rounds.forward.push_back(best_forward);
  rounds.backward.push_back(best_backward);
  rounds.both.push_back(best_forward + best_backward);
}

void time_floor(const MemoryFloor& floor, double min_time, Rounds& rounds) {
  time_ways([&](int way) { floor.forward(way); }, [&](int way) { floor.backward(way); }, min_time, rounds);
}

void time_two_sweeps(const MemoryFloor& floor, double min_time, Rounds& rounds) {
  time_ways([&](int way) { floor.forward_in_two(way); }, [&](int way) { floor.backward_in_two(way); },
            min_time, rounds);
}

Rounds longer(const Rounds& a, const Rounds& b) {
  Rounds longest;
  for (std::size_t i = 0; i < a.both.size(); ++i) {
    longest.forward.push_back(std::max(a.forward[i], b.forward[i]));
    longest.backward.push_back(std::max(a.backward[i], b.backward[i]));
    longest.both.push_back(longest.forward[i] + longest.backward[i]);
  }
  return longest;
}

NormResults results_of(Contender& contender) {
  contender.forward();
  contender.backward();
  const NormResults results = contender.results();
  contender.release();
  return results;
}

struct Contenders {
  std::unique_ptr<Contender> ours, libtorch, onednn;
};

/// Makes those who can do the case, and compares their results with the reference's.
Contenders verified(const NormCase& what, NormInputs& inputs, Measured& measured) {
  const NormResults expected = reference_results(what, inputs);
  Contenders contenders;
  contenders.ours = make_ours(what, inputs);
  check_values(what, results_of(*contenders.ours), expected);
  contenders.libtorch = make_libtorch(what, inputs);
  if (operator_of(what.norm)) {
    const std::string wrong = wrong_as_a_whole(what, results_of(*contenders.libtorch), expected);
    if (!wrong.empty())
      measured.notes.push_back(fmt::format("LibTorch: {}: {}; timed all the same", what.to_string(), wrong));
  }
  contenders.onednn = make_onednn(what, inputs);
  if (contenders.onednn != nullptr) {
    const std::string wrong = wrong_as_a_whole(what, results_of(*contenders.onednn), expected);
    if (!wrong.empty()) {
      measured.notes.push_back(fmt::format("oneDNN: {}: {}; left out", what.to_string(), wrong));
      contenders.onednn = nullptr;
    }
  }
  return contenders;
}

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double median_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  return median(ratios);
}

Measured measure(const NormCase& what, const Effort& effort) {
  Measured measured;
  measured.what = what;
  NormInputs inputs = make_inputs(what);
  const Contenders contenders = verified(what, inputs, measured);
  const MemoryFloor floor(what);
  measured.forward_bytes = floor.forward_bytes();
  measured.backward_bytes = floor.backward_bytes();

  const CachedKernels cached = make_cached(what);
  Rounds of_onednn, of_cached;
  std::vector<std::function<void(double)>> turns{
      [&](double seconds) { time_contender(*contenders.ours, seconds, measured.ours); },
      [&](double seconds) { time_contender(*contenders.libtorch, seconds, measured.libtorch); },
      [&](double seconds) { time_floor(floor, seconds, measured.floor); },
      [&](double seconds) { time_two_sweeps(floor, seconds, measured.two_sweeps); }};
  if (contenders.onednn != nullptr) {
    turns.emplace_back([&](double seconds) { time_contender(*contenders.onednn, seconds, of_onednn); });
  }
  if (cached.contender != nullptr)
    turns.emplace_back([&](double seconds) { time_contender(*cached.contender, seconds, of_cached); });
  for (int i = 0; i < kWarmUps; ++i) {
    for (const auto& turn : turns) turn(0);
  }
  for (Rounds* rounds :
       {&measured.ours, &measured.libtorch, &measured.floor, &measured.two_sweeps, &of_onednn, &of_cached})
    *rounds = {};
  for (int round = 0; round < effort.rounds; ++round) {
    for (std::size_t i = 0; i < turns.size(); ++i) {
      turns[(i + static_cast<std::size_t>(round)) % turns.size()](effort.min_time);
    }
  }
  if (contenders.onednn != nullptr) measured.onednn = of_onednn;
  if (cached.contender != nullptr) {
    measured.cached = of_cached;
    measured.bound = longer(cached.twice ? measured.two_sweeps : measured.floor, of_cached);
  }
  return measured;
}

}  // namespace refnorm::cli
