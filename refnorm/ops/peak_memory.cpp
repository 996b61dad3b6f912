#include <algorithm>

#include <c10/core/Allocator.h>

#include <refnorm/ops/peak_memory.h>

namespace refnorm::ops {
namespace {

/// The type of the third argument, which is another one in LibTorch 2.
template <class Method>
struct Third;
template <class Class, class First, class Second, class Type, class... Rest>
struct Third<void (Class::*)(First, Second, Type, Rest...)> {
  using type = Type;
};
using Total = Third<decltype(&c10::MemoryReportingInfoBase::reportMemoryUsage)>::type;

}  // namespace

class PeakMemory::Listener : public c10::MemoryReportingInfoBase {
 public:
  explicit Listener(c10::DeviceType of) : of_(of) {}
  void reportMemoryUsage(void*, std::int64_t alloc_size, Total, Total, c10::Device device) override {
    if (device.type() != of_) return;
    held_ += alloc_size;  // negative for what is given back
    peak_ = std::max(peak_, held_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t peak() const { return peak_; }

 private:
  c10::DeviceType of_;
  std::int64_t held_ = 0, peak_ = 0;
};

PeakMemory::PeakMemory(c10::DeviceType of)
    : listener_(std::make_shared<Listener>(of)), listening_(c10::DebugInfoKind::PROFILER_STATE, listener_) {}

std::int64_t PeakMemory::bytes() const {
  return listener_->peak();
}

}  // namespace refnorm::ops
