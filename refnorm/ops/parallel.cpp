#include <ATen/Parallel.h>

#include <refnorm/ops/parallel.h>

#ifndef _OPENMP
#error "compile this file with OpenMP: at::parallel_for is sequential without it"
#endif

namespace refnorm::ops {

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body) {
  at::parallel_for(0, count, grain, body);
}

int parallel_threads() {
  return at::in_parallel_region() ? 1 : at::get_num_threads();
}

}  // namespace refnorm::ops
