#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench_case.h"

namespace refnorm::cli {

enum class Pass { kForward, kBackward, kBoth };
inline constexpr Pass kPasses[] = {Pass::kForward, Pass::kBackward, Pass::kBoth};
inline constexpr const char* kPassNames[] = {"forward", "backward", "both"};

double median(std::vector<double> values);

/// Seconds of each round; each is the median over that round's repeats.
struct Rounds {
  std::vector<double> forward, backward, both;
  const std::vector<double>& of(Pass pass) const {
    return pass == Pass::kForward ? forward : pass == Pass::kBackward ? backward : both;
  }
};

/// How long to measure.
struct Effort {
  int rounds = 7;
  double min_time = 0.05;  ///< seconds for each contender in each round
};

struct Measured {
  NormCase what;
  Rounds ours, libtorch, floor, two_sweeps;
  std::optional<Rounds> onednn, cached;
  std::optional<Rounds> bound;  ///< the longer of floor (two sweeps in channels_last) and cached
  double forward_bytes = 0, backward_bytes = 0;  ///< the floor's traffic
  std::vector<std::string> notes;                ///< peers that were left out, and why

  double bytes(Pass pass) const {
    return (pass != Pass::kBackward ? forward_bytes : 0) + (pass != Pass::kForward ? backward_bytes : 0);
  }
};

/// Verifies, then times: in each round every contender in turn, beginning with another one each time. Throws
/// Error where our results are wrong; a peer with wrong results is left out.
Measured measure(const NormCase& what, const Effort& effort);

/// The median over rounds of a's time by b's.
double median_ratio(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace refnorm::cli
