#pragma once

#include <barrier>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <refnorm/ops/joint_statistics.h>

namespace refnorm::testing {

/// Runs body(rank) in so many threads at once, and fails the test where one throws.
inline void side_by_side(int count, const std::function<void(int)>& body,
                         const std::function<void()>& after_failure = {}) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (const std::exception& error) {
        ADD_FAILURE() << "process " << rank << ": " << error.what();
        if (after_failure) after_failure();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

/// An exchange between threads in the place of processes: sums and lists made in plain sight.
class ThreadsAsProcesses {
 public:
  explicit ThreadsAsProcesses(int count) : slots_(static_cast<std::size_t>(count)), meet_(count) {}

  /// body(rank) in a thread each, with statistics synchronized.
  void run(const std::function<void(int)>& body) {
    side_by_side(
        static_cast<int>(slots_.size()),
        [&](int rank) {
          const ops::SynchronizeStatistics synchronize(
              c10::make_intrusive<One>(*this, static_cast<std::size_t>(rank)));
          body(rank);
        },
        [this] { meet_.arrive_and_drop(); });
  }
  int exchanges() const { return exchanges_; }

 private:
  class One : public ops::JointStatistics {
   public:
    One(ThreadsAsProcesses& all, std::size_t rank) : all_(all), rank_(rank) {}
    void sum(torch::Tensor& values) override {
      const torch::NoGradGuard no_grad;
      values.copy_(gather(values).sum(0));
    }
    torch::Tensor gather(const torch::Tensor& own) override {
      all_.slots_[rank_] = own.detach().clone();
      all_.meet_.arrive_and_wait();
      torch::Tensor joined = torch::stack(all_.slots_);
      if (rank_ == 0) ++all_.exchanges_;
      all_.meet_.arrive_and_wait();
      return joined;
    }

   private:
    ThreadsAsProcesses& all_;
    std::size_t rank_;
  };

  std::vector<torch::Tensor> slots_;
  std::barrier<> meet_;
  int exchanges_ = 0;
};

}  // namespace refnorm::testing
