#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace refnorm {

/// Shows how far long work is, on standard error: one line that is redrawn, with rate and remaining time, on
/// a terminal; a plain line every `plain_interval` seconds elsewhere. Nothing is shown for work that ends
/// within it.
class Progress {
 public:
  /// `unit` is what `total` counts, in the plural ("steps"). `done` may start above 0 (resumed work); the
  /// rate is that of this process.
  Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `note` is shown behind the numbers, such as a loss.
  void update(std::int64_t done, const std::string& note = {});

  /// Prints a line of its own above the bar.
  void say(const std::string& line);

  static double plain_interval;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const std::string& note);
  void erase();

  std::string title_, unit_;
  std::int64_t total_, start_, done_;
  bool terminal_, drawn_ = false;
  Clock::time_point begun_, shown_;
};

}  // namespace refnorm
