#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench_case.h"

namespace refnorm::cli {

/// Somebody who can do a case.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual void forward() = 0;
  /// Of the last forward.
  virtual void backward() = 0;
  /// Of the last two.
  virtual NormResults results() const = 0;
  /// Frees what forward and backward left; called between repeats, and not timed.
  virtual void release() {}
};

/// This library's layer.
std::unique_ptr<Contender> make_ours(const NormCase& what, const NormInputs& inputs);

/// LibTorch's operator, followed by add_() and relu_() as its users write it.
std::unique_ptr<Contender> make_libtorch(const NormCase& what, const NormInputs& inputs);

/// oneDNN's primitive; nothing where the build or the primitive lacks the case.
std::unique_ptr<Contender> make_onednn(const NormCase& what, const NormInputs& inputs);
/// "2.6.3"; empty in a build without it.
std::string onednn_version();

/// Throws Error that names the case unless each value is the reference's within float32's accuracy (and,
/// where y and dx are of bfloat16, its rounding).
void check_values(const NormCase& what, const NormResults& found, const NormResults& expected);

/// What is wrong with a peer's results: "y differs by 3 %"; empty: nothing. A peer may round between its
/// steps, so this looks at whole tensors.
std::string wrong_as_a_whole(const NormCase& what, const NormResults& found, const NormResults& expected);

}  // namespace refnorm::cli
