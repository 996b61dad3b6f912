#include <refnorm/kernels/simd_sweeps.h>

// Highway includes this file again for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "refnorm/kernels/simd_sweeps.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes before all that is compiled for each instruction set.
#include <hwy/highway.h>

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
#include <refnorm/kernels/simd_column_sums-inl.h>
#include <refnorm/kernels/simd_columns-inl.h>
#include <refnorm/kernels/simd_runs-inl.h>
#endif

#ifndef REFNORM_KERNELS_SIMD_SWEEPS_ONCE
#define REFNORM_KERNELS_SIMD_SWEEPS_ONCE

namespace refnorm::kernels {

/// One instruction set's sweeps.
struct SweepTables {
  const Sweeps<float>* of_float;
  const Sweeps<double>* of_double;
  const Sweeps<Bfloat16>* of_bfloat16;
};

}  // namespace refnorm::kernels

#endif

HWY_BEFORE_NAMESPACE();
namespace refnorm::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

SweepTables tables() {
  return {&plain_sweeps<float>(), &plain_sweeps<double>(), &plain_sweeps<Bfloat16>()};
}

#else

/// From these lengths on a channel's coefficients, or its sums, are worth holding in registers.
constexpr std::int64_t kShortestRun = 32;
constexpr std::int64_t kShortestSummedRun = 32;

template <class T>
void moments(const T* x, const Tile& tile, double* mean, double* m2) {
  std::fill_n(mean, tile.channels, 0.0);
  std::fill_n(m2, tile.channels, 0.0);
  if (tile.outer == 0 || tile.channels == 0 || tile.inner == 0) return;
  (tile.inner >= kShortestSummedRun ? run_moments<T> : column_moments<T>)(x, tile, mean, m2);
}

template <class T, bool kRelu>
void apply_with(const ApplyArrays<T>& arrays, const Tile& tile, const ForwardCoefficients<Compute<T> >& by) {
  (tile.inner >= kShortestRun ? run_apply<T, kRelu> : column_apply<T, kRelu>)(arrays, tile, by);
}

template <class T>
void apply(const T* x, const T* residual, T* y, const Tile& tile, const ForwardCoefficients<Compute<T> >& by,
           const Relu& relu, const Caching& caching) {
  if (tile.outer == 0 || tile.channels == 0 || tile.inner == 0) return;
  (relu.on ? apply_with<T, true> : apply_with<T, false>)({x, residual, y, relu.gate, caching}, tile, by);
  if (caching.stream) hwy::FlushStream();
}

template <class T, Gate kGate>
void gradient_sums_with(const GradientArrays<T>& arrays, const Tile& tile,
                        const ForwardCoefficients<Compute<T> >& by, double* g, double* gx) {
  const auto sums =
      tile.inner >= kShortestSummedRun ? run_gradient_sums<T, kGate> : column_gradient_sums<T, kGate>;
  sums(arrays, tile, by, g, gx);
}

template <class T>
void gradient_sums(const T* x, const T* dy, const Activation<T>& activation, const Tile& tile,
                   const ForwardCoefficients<Compute<T> >& by, double* g, double* gx) {
  std::fill_n(g, tile.channels, 0.0);
  std::fill_n(gx, tile.channels, 0.0);
  if (tile.outer == 0 || tile.channels == 0 || tile.inner == 0) return;
  const auto sums = !activation.relu             ? gradient_sums_with<T, Gate::kOpen>
                    : activation.gate != nullptr ? gradient_sums_with<T, Gate::kBits>
                    : activation.y != nullptr    ? gradient_sums_with<T, Gate::kOutput>
                                                 : gradient_sums_with<T, Gate::kInput>;
  sums({x, dy, activation.y, activation.gate, nullptr, nullptr, {}}, tile, by, g, gx);
}

template <class T, Gate kGate>
void gradient_apply_with(const GradientArrays<T>& arrays, const Tile& tile,
                         const ForwardCoefficients<Compute<T> >& by,
                         const BackwardCoefficients<Compute<T> >& gradient) {
  const auto sweep =
      tile.inner >= kShortestRun ? run_gradient_apply<T, kGate> : column_gradient_apply<T, kGate>;
  sweep(arrays, tile, by, gradient);
}

template <class T>
void gradient_apply(const T* x, const T* dy, const Activation<T>& activation, T* dx, T* dresidual,
                    const Tile& tile, const ForwardCoefficients<Compute<T> >& by,
                    const BackwardCoefficients<Compute<T> >& gradient, const Caching& caching) {
  if (tile.outer == 0 || tile.channels == 0 || tile.inner == 0) return;
  const auto sweep = !activation.relu             ? gradient_apply_with<T, Gate::kOpen>
                     : activation.gate != nullptr ? gradient_apply_with<T, Gate::kBits>
                     : activation.y != nullptr    ? gradient_apply_with<T, Gate::kOutput>
                                                  : gradient_apply_with<T, Gate::kInput>;
  sweep({x, dy, activation.y, activation.gate, dx, dresidual, caching}, tile, by, gradient);
  if (caching.stream) hwy::FlushStream();
}

template <class T>
constexpr Sweeps<T> kSweeps{moments<T>, apply<T>, gradient_sums<T>, gradient_apply<T>, kHasGates<T>};

SweepTables tables() {
  return {&kSweeps<float>, &kSweeps<double>, &kSweeps<Bfloat16>};
}

#endif

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace refnorm::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace refnorm::kernels {

HWY_EXPORT(tables);

namespace {

struct InstructionSet {
  std::string name;
  SweepTables tables;
};

SweepTables tables_of(std::int64_t target) {
#if (HWY_TARGETS & (HWY_TARGETS - 1)) == 0
  static_cast<void>(target);
  return HWY_DYNAMIC_DISPATCH(tables)();
#else
  hwy::ChosenTarget chosen;
  chosen.Update(target);
  return HWY_DISPATCH_TABLE(tables)[chosen.GetIndex()]();
#endif
}

const std::vector<InstructionSet>& all_sets() {
  static const std::vector<InstructionSet> sets = [] {
    std::vector<InstructionSet> found;
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
      if (target == HWY_SCALAR || target == HWY_EMU128) continue;
      std::string name = hwy::TargetName(target);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      found.push_back({name, tables_of(target)});
    }
    const SweepTables plain{&plain_sweeps<float>(), &plain_sweeps<double>(), &plain_sweeps<Bfloat16>()};
    found.push_back({"plain", plain});
    return found;
  }();
  return sets;
}

const InstructionSet& set_named(const std::string& name, const std::string& where) {
  std::string known;
  for (const InstructionSet& set : all_sets()) {
    if (set.name == name) return set;
    known += (known.empty() ? "" : ", ") + set.name;
  }
  throw std::invalid_argument(where + "unknown instruction set '" + name + "'; this machine has " + known);
}

std::atomic<const InstructionSet*> set_in_use = nullptr;

const InstructionSet& current_set() {
  const InstructionSet* set = set_in_use.load(std::memory_order_acquire);
  if (set != nullptr) return *set;
  const char* forced = std::getenv("REFNORM_ISA");
  const bool is_forced = forced != nullptr && *forced != '\0';
  const InstructionSet* first = is_forced ? &set_named(forced, "REFNORM_ISA: ") : &all_sets().front();
  // Whichever thread came first, or use_instruction_set() in the meantime, wins.
  return set_in_use.compare_exchange_strong(set, first) ? *first : *set;
}

template <class T>
const Sweeps<T>& sweeps_of(const InstructionSet& set) {
  if constexpr (std::is_same_v<T, float>) {
    return *set.tables.of_float;
  } else if constexpr (std::is_same_v<T, double>) {
    return *set.tables.of_double;
  } else {
    return *set.tables.of_bfloat16;
  }
}

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const InstructionSet& set : all_sets()) names.push_back(set.name);
  return names;
}

std::string instruction_set() {
  return current_set().name;
}

void use_instruction_set(const std::string& name) {
  set_in_use = &set_named(name, "");
}

template <class T>
const Sweeps<T>& sweeps() {
  return sweeps_of<T>(current_set());
}

template <class T>
const Sweeps<T>& sweeps(const std::string& instruction_set) {
  return sweeps_of<T>(set_named(instruction_set, ""));
}

template const Sweeps<float>& sweeps<float>();
template const Sweeps<double>& sweeps<double>();
template const Sweeps<Bfloat16>& sweeps<Bfloat16>();
template const Sweeps<float>& sweeps<float>(const std::string&);
template const Sweeps<double>& sweeps<double>(const std::string&);
template const Sweeps<Bfloat16>& sweeps<Bfloat16>(const std::string&);

}  // namespace refnorm::kernels

#endif
