#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace refnorm {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begun_ = Clock::now();
};

/// Divides time among `Phases` parts of repeated work: enter(p) books what has passed since the last call on
/// the phase that was entered then.
template <std::size_t Phases>
class PhaseClock {
 public:
  void enter(std::size_t phase) {
    const auto now = Clock::now();
    seconds_[current_] += std::chrono::duration<double>(now - since_).count();
    since_ = now;
    current_ = phase;
  }
  double seconds(std::size_t phase) const { return seconds_[phase]; }

 private:
  using Clock = std::chrono::steady_clock;
  std::array<double, Phases> seconds_{};
  std::size_t current_ = Phases - 1;
  Clock::time_point since_ = Clock::now();
};

}  // namespace refnorm
