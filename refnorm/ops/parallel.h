#pragma once

#include <cstdint>
#include <functional>

namespace refnorm::ops {

/// body(begin, end) for parts of [0, count), on LibTorch's threads; a part has at least `grain` elements (but
/// for the last). at::parallel_for is a template whose parallel half is only there where OpenMP is switched
/// on: that is the file behind this header, for the whole tree.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body);

/// Threads that a call from here would use: 1 within a parallel part.
int parallel_threads();

}  // namespace refnorm::ops
