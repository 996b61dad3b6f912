#pragma once

#include <cstdint>
#include <memory>

#include <c10/util/ThreadLocalDebugInfo.h>

namespace refnorm::ops {

/// While it lives, the most bytes of tensors that were held at once on the CPU, beyond those held before. It
/// listens to LibTorch's allocator on this thread (where backward passes on the CPU run, too).
class PeakMemory {
 public:
  PeakMemory();
  std::int64_t bytes() const;

 private:
  class Listener;
  std::shared_ptr<Listener> listener_;
  c10::DebugInfoGuard listening_;
};

}  // namespace refnorm::ops
