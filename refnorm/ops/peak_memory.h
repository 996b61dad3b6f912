#pragma once

#include <cstdint>
#include <memory>

#include <c10/core/DeviceType.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace refnorm::ops {

/// While it lives, the most bytes of tensors that were held at once on devices of that type, beyond those
/// held before. It listens to LibTorch's allocator on this thread (where backward passes on the CPU run, too)
/// and, on CUDA, on those of the backward passes that it begins.
class PeakMemory {
 public:
  explicit PeakMemory(c10::DeviceType of = c10::DeviceType::CPU);
  std::int64_t bytes() const;

 private:
  class Listener;
  std::shared_ptr<Listener> listener_;
  c10::DebugInfoGuard listening_;
};

}  // namespace refnorm::ops
