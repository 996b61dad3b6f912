#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace refnorm::data {

/// Makes one thing after the other, such as batches, ahead of their use by threads. Their number changes when
/// a thing is made, and not what it is.
template <class Order, class Made>
class Ahead {
 public:
  /// What the thing shall be of, counted from 0. Called in order, in the thread that makes and uses this,
  /// some things ahead.
  using Plan = std::function<Order(std::int64_t)>;
  /// Called in the workers, in several at once.
  using Make = std::function<Made(const Order&)>;

  /// `workers` 0: things are made in next(). Else they have up to workers + 1 things in the making or ready,
  /// beside the one that is in use.
  Ahead(std::int64_t count, Plan plan, Make make, std::int64_t workers)
      : count_(count),
        plan_(std::move(plan)),
        make_(std::move(make)),
        ahead_(static_cast<std::size_t>(workers > 0 ? std::min(workers + 1, count) : 0)) {
    for (std::int64_t i = 0; i < std::min(workers, count); ++i)
      workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    order_ahead();
  }

  /// Waits for things in the making to end, and drops them.
  ~Ahead() {
    {
      const std::lock_guard lock(mutex_);
      waiting_.clear();
    }
    for (std::jthread& worker : workers_) worker.request_stop();
    workers_.clear();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  /// The next thing; nothing after the last one. What making it threw is thrown here, in its turn.
  std::optional<Made> next() {
    if (ahead_ == 0) {
      if (ordered_ == count_) return std::nullopt;
      return make_(plan_(ordered_++));
    }
    if (slots_.empty()) return std::nullopt;
    const std::shared_ptr<Slot> slot = slots_.front();
    slots_.pop_front();
    {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [&] { return slot->done; });
    }
    if (slot->failed) std::rethrow_exception(slot->failed);
    order_ahead();
    return std::move(slot->made);
  }

 private:
  struct Slot {
    Order order;
    std::optional<Made> made;
    std::exception_ptr failed;
    bool done = false;
  };

  void order_ahead() {
    while (slots_.size() < ahead_ && ordered_ < count_) {
      auto slot = std::make_shared<Slot>();
      slot->order = plan_(ordered_++);
      slots_.push_back(slot);
      {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(slot));
      }
      to_do_.notify_one();
    }
  }

  void work(const std::stop_token& stop) {
    for (;;) {
      std::shared_ptr<Slot> slot;
      {
        std::unique_lock lock(mutex_);
        if (!to_do_.wait(lock, stop, [&] { return !waiting_.empty(); })) return;
        slot = std::move(waiting_.front());
        waiting_.pop_front();
      }
      std::optional<Made> made;
      std::exception_ptr failed;
      try {
        made = make_(slot->order);
      } catch (...) {
        failed = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex_);
        slot->made = std::move(made);
        slot->failed = std::move(failed);
        slot->done = true;
      }
      done_.notify_one();
    }
  }

  std::int64_t count_, ordered_ = 0;
  Plan plan_;
  Make make_;
  std::size_t ahead_;
  std::mutex mutex_;
  std::condition_variable_any to_do_;
  std::condition_variable done_;
  std::deque<std::shared_ptr<Slot>> slots_;    ///< ordered and not yet taken; of the consumer alone
  std::deque<std::shared_ptr<Slot>> waiting_;  ///< those that no worker has begun
  std::vector<std::jthread> workers_;          ///< the last member: they use all others
};

}  // namespace refnorm::data
