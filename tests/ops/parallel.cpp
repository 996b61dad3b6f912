#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/parallel.h>

namespace refnorm::ops {
namespace {

TEST(Parallel, WorksOnAsManyThreadsAsLibTorchHas) {
  const int before = torch::get_num_threads();
  torch::set_num_threads(3);
  EXPECT_EQ(parallel_threads(), 3);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::int64_t done = 0;
  parallel_for(30, 1, [&](std::int64_t begin, std::int64_t end) {
    EXPECT_EQ(parallel_threads(), 1) << "within a part";
    const std::lock_guard<std::mutex> lock(mutex);
    threads.insert(std::this_thread::get_id());
    done += end - begin;
  });
  torch::set_num_threads(before);
  EXPECT_EQ(threads.size(), 3U);
  EXPECT_EQ(done, 30);
}

}  // namespace
}  // namespace refnorm::ops
