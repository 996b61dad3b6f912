#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace refnorm {

/// Calls `piece(i)` for 0 … count − 1, in up to `threads` threads that take the next `chunk` of them whenever
/// they are done. What the first piece to fail throws is thrown here, after all have ended.
template <class Piece>
void share_out(std::int64_t count, std::int64_t threads, const Piece& piece, std::int64_t chunk = 1) {
  std::atomic<std::int64_t> next = 0;
  std::exception_ptr failed;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (std::int64_t begin = next.fetch_add(chunk); begin < count; begin = next.fetch_add(chunk)) {
        for (std::int64_t i = begin; i < std::min(begin + chunk, count); ++i) piece(i);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failed) failed = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    const std::int64_t chunks = (count + chunk - 1) / chunk;
    for (std::int64_t i = 1; i < std::min(threads, chunks); ++i) others.emplace_back(work);
    work();
  }
  if (failed) std::rethrow_exception(failed);
}

}  // namespace refnorm
