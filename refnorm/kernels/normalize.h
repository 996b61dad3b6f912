#pragma once

#include <functional>
#include <span>
#include <vector>

#include <refnorm/kernels/blend.h>

namespace refnorm::kernels {

/// Who works: `run(tasks, body)` calls body(0) … body(tasks − 1), each once, up to `count` of them at a time.
/// Results depend on the count, not on the order.
struct Workers {
  int count = 1;
  std::function<void(std::int64_t tasks, const std::function<void(std::int64_t)>& body)> run;
};

/// One thread, in order.
Workers sequential();

/// Other processes that work on their own parts of the same batch at the same time, each with as many
/// numbers.
struct AcrossProcesses {
  /// The numbers of all processes, one process behind the other.
  std::function<std::vector<double>(std::span<const double>)> gather;
  /// In the numbers' place, the sums over all processes.
  std::function<void(std::span<double>)> sum;
};

/// What is normalized, and how; shared by forward and backward.
template <class T>
struct Problem {
  Shape shape;
  const Blend* blend = nullptr;
  AffineParameters affine;
  const Sweeps<T>* sweeps = nullptr;
  bool relu = false;
  const T* x = nullptr;
  const AcrossProcesses* processes = nullptr;  ///< needed where Blend::joint_values is not 0
};

/// Bytes of a gate, one bit for each value that ReLU lets through: all that backward needs of the output
/// where a residual was added. 0 where the shape has none, as its runs of values do not fill bytes.
template <class T>
std::int64_t gate_bytes(const Shape& shape, const Sweeps<T>& sweeps);

/// y = act(norm(x) [+ residual]), and the statistics of all sets of the blend, [sets] each (see
/// StatisticSets). `gate` may be null.
template <class T>
struct ForwardOutputs {
  T* y = nullptr;
  double* mean = nullptr;
  double* var = nullptr;
  std::uint8_t* gate = nullptr;
};
template <class T>
void normalize(const Problem<T>& problem, const T* residual, const ForwardOutputs<T>& out,
               const Workers& workers);

/// y once more, to the bit, from the statistics that normalize() gave.
template <class T>
void normalize_again(const Problem<T>& problem, const T* residual, const SetStatistics& statistics, T* y,
                     const Workers& workers);

/// What backward gets: the upstream gradient, the statistics that forward gave, and the gate or y where a
/// residual was added before a ReLU.
template <class T>
struct BackwardInputs {
  const T* dy = nullptr;
  const T* y = nullptr;
  SetStatistics statistics{};
  const std::uint8_t* gate = nullptr;
};
/// Gradients; dx, dresidual and the last two may be null.
template <class T>
struct BackwardOutputs {
  T* dx = nullptr;
  T* dresidual = nullptr;
  double* weight = nullptr;  ///< [C]
  double* bias = nullptr;    ///< [C]
  double* mean_weights = nullptr;
  double* var_weights = nullptr;
};
template <class T>
void normalize_backward(const Problem<T>& problem, const BackwardInputs<T>& in, const BackwardOutputs<T>& out,
                        const Workers& workers);

}  // namespace refnorm::kernels
