#pragma once

#include <functional>
#include <string_view>

#include <torch/types.h>

namespace refnorm::ops {

/// Called with the name of a layer and its output.
using TapObserver = std::function<void(std::string_view, const torch::Tensor&)>;

/// Models pass each layer's output through tap: it hands it to the observer, if one is installed on this
/// thread, and returns it. This is how a run finds the layer whose output stopped being finite.
const torch::Tensor& tap(std::string_view layer, const torch::Tensor& output);

/// Installs an observer for its own lifetime, on this thread.
class ObserveTaps {
 public:
  explicit ObserveTaps(TapObserver observer);
  ~ObserveTaps();
  ObserveTaps(const ObserveTaps&) = delete;
  ObserveTaps& operator=(const ObserveTaps&) = delete;

 private:
  TapObserver observer_;
  const TapObserver* previous_;
};

}  // namespace refnorm::ops
