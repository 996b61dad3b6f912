#pragma once

#include <string>
#include <vector>

namespace refnorm::ops {

/// The instruction sets that the operators can use on this machine, best first; see
/// kernels::instruction_sets().
std::vector<std::string> instruction_sets();

/// The one in use. Throws UserError where the environment variable REFNORM_ISA names an unknown one.
std::string instruction_set();

/// From now on, for all threads. Throws UserError for an unknown one.
void use_instruction_set(const std::string& name);

}  // namespace refnorm::ops
