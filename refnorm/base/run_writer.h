#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace refnorm {

/// Collects runs of a mask so that none but the first is empty.
class RunWriter {
 public:
  void add(bool value, std::uint32_t length) {
    if (length == 0) return;
    if (value == value_) {
      counts_.back() += length;
    } else {
      counts_.push_back(length);
      value_ = value;
    }
  }
  std::vector<std::uint32_t> take() { return std::move(counts_); }

 private:
  std::vector<std::uint32_t> counts_{0};
  bool value_ = false;
};

}  // namespace refnorm
