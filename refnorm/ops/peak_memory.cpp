#include <algorithm>

#include <c10/core/Allocator.h>

#include <refnorm/ops/peak_memory.h>

namespace refnorm::ops {

class PeakMemory::Listener : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, std::int64_t alloc_size, std::int64_t, std::int64_t,
                         c10::Device device) override {
    if (!device.is_cpu()) return;
    held_ += alloc_size;  // negative for what is given back
    peak_ = std::max(peak_, held_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() const { return peak_; }

 private:
  std::int64_t held_ = 0, peak_ = 0;
};

PeakMemory::PeakMemory()
    : listener_(std::make_shared<Listener>()), listening_(c10::DebugInfoKind::PROFILER_STATE, listener_) {}

std::int64_t PeakMemory::bytes() const {
  return listener_->peak();
}

}  // namespace refnorm::ops
