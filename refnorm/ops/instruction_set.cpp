#include <stdexcept>

#include <refnorm/base/error.h>
#include <refnorm/kernels/simd_sweeps.h>
#include <refnorm/ops/instruction_set.h>

namespace refnorm::ops {

std::vector<std::string> instruction_sets() {
  return kernels::instruction_sets();
}

std::string instruction_set() {
  try {
    return kernels::instruction_set();
  } catch (const std::invalid_argument& error) {
    throw UserError(error.what());
  }
}

void use_instruction_set(const std::string& name) {
  try {
    kernels::use_instruction_set(name);
  } catch (const std::invalid_argument& error) {
    throw UserError(error.what());
  }
}

}  // namespace refnorm::ops
