#pragma once

#include <memory>

#include "bench_contender.h"

namespace refnorm::cli {

/// Our kernels without memory to wait for: as many chunks as the case has, but every thread works on one and
/// the same again and again, which lies in its core's second-level cache after the first time. No time of
/// ours can be below this, however fast the memory. Nothing where the kernels do not work by chunks.
std::unique_ptr<Contender> make_cached(NormCase what);

}  // namespace refnorm::cli
