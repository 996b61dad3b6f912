#pragma once

#include <memory>

#include "bench_contender.h"

namespace refnorm::cli {

/// Our kernels without memory to wait for: they compute as much as the case has, but every thread on one and
/// the same piece again and again, which lies in its core's second-level cache after the first time. No time
/// of ours can be below this, however fast the memory.
struct CachedKernels {
  std::unique_ptr<Contender> contender;  ///< nothing where LibTorch lacks the norm, or the kernels the piece
  bool twice = false;                    ///< whether they read from memory twice what does not fit a cache
};
CachedKernels make_cached(NormCase what);

}  // namespace refnorm::cli
