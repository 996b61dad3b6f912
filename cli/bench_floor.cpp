#include "bench_floor.h"

#include <algorithm>

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>

namespace refnorm::cli {
namespace {

/// Streams of several threads begin at pages of their own.
constexpr std::int64_t kPageElements = 1024;
/// Far enough to hide the way to memory.
constexpr std::int64_t kAheadElements = 4096;

std::int64_t pages_of(std::int64_t elements) {
  return (elements + kPageElements - 1) / kPageElements;
}

}  // namespace

MemoryFloor::MemoryFloor(const NormCase& what)
    : bytes_(static_cast<double>(what.bytes())),
      elements_((what.bytes() / 4 + kStreamElements - 1) / kStreamElements * kStreamElements) {
  const auto array = [&] {
    arrays_.push_back(torch::ones({elements_}, torch::kInt));
    return static_cast<std::uint32_t*>(arrays_.back().data_ptr());
  };
  std::uint32_t* const x = array();
  std::uint32_t* const y = array();
  std::uint32_t* const dy = array();
  std::uint32_t* const dx = array();
  forward_ = {1, 1, {x}, {y}};
  backward_ = {2, 1, {x, dy}, {dx}};
  if (what.add()) {
    std::uint32_t* const residual = array();
    std::uint32_t* const dresidual = array();
    forward_ = {2, 1, {x, residual}, {y}};
    backward_ = {3, 2, {x, dy, y}, {dx, dresidual}};
  }
}

void MemoryFloor::run(StreamSweep sweep, int way) const {
  sweep.non_temporal = way % 2 == 1;
  sweep.ahead = way / 4 == 1 ? kAheadElements : 0;
  if (way / 2 % 2 == 1) return stream(sweep, 0, elements_);
  const std::int64_t pages = pages_of(elements_);
  const std::int64_t threads = std::min<std::int64_t>(at::get_num_threads(), pages);
  at::parallel_for(0, threads, 1, [&](std::int64_t first, std::int64_t last) {
    stream(sweep, pages * first / threads * kPageElements,
           std::min(pages * last / threads * kPageElements, elements_));
  });
}

void MemoryFloor::run_in_two(const StreamSweep& sweep, int way) const {
  StreamSweep reading = sweep;
  reading.outputs = 0;
  run(reading, way);
  run(sweep, way);
}

double MemoryFloor::traffic(const StreamSweep& sweep) const {
  return bytes_ * (sweep.inputs + sweep.outputs);
}

}  // namespace refnorm::cli
