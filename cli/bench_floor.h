#pragma once

#include <torch/types.h>

#include "bench_case.h"
#include "bench_floor_loops.h"

namespace refnorm::cli {

/// The least traffic that a case needs, by loops that do nothing else, over arrays of the same sizes with the
/// same threads. Forward reads x (and the residual) and writes y; backward reads x and dy (and y, for the
/// gate of ReLU behind an addition) and writes dx (and the residual's gradient).
class MemoryFloor {
 public:
  explicit MemoryFloor(const NormCase& what);

  /// Ways to run the loops: stores through the caches or around them, all threads or one, with or without
  /// fetching ahead. Which is fastest depends on the size.
  static constexpr int kWays = 8;
  void forward(int way) const { run(forward_, way); }
  void backward(int way) const { run(backward_, way); }
  /// What has to read everything once before it can write anything: the inputs alone, and then the above.
  void forward_in_two(int way) const { run_in_two(forward_, way); }
  void backward_in_two(int way) const { run_in_two(backward_, way); }

  /// Bytes moved.
  double forward_bytes() const { return traffic(forward_); }
  double backward_bytes() const { return traffic(backward_); }

 private:
  void run(StreamSweep sweep, int way) const;
  void run_in_two(const StreamSweep& sweep, int way) const;
  double traffic(const StreamSweep& sweep) const;

  double bytes_;           ///< of one array
  std::int64_t elements_;  ///< of the loops, in one array
  std::vector<torch::Tensor> arrays_;
  StreamSweep forward_, backward_;
};

}  // namespace refnorm::cli
