#pragma once

#include <cstdint>

namespace refnorm::cli {

/// One sweep over arrays of equal lengths: every output gets the inputs, combined by one cheap instruction
/// each. No normalization can take less than this with the same arrays.
struct StreamSweep {
  static constexpr int kMostInputs = 3;
  static constexpr int kMostOutputs = 2;
  int inputs = 1, outputs = 1;  ///< 1 to 3, and 0 to 2
  const std::uint32_t* in[kMostInputs] = {};
  std::uint32_t* out[kMostOutputs] = {};
  bool non_temporal = false;  ///< stores that go around the caches
  std::int64_t ahead =
      0;  ///< fetch inputs this many elements before they are read; 0: leave it to the processor
};

/// Elements [begin, end) of the sweep; both are multiples of kStreamElements, arrays are aligned to 64 bytes.
inline constexpr std::int64_t kStreamElements = 16;
void stream(const StreamSweep& sweep, std::int64_t begin, std::int64_t end);

}  // namespace refnorm::cli
