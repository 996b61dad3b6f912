#pragma once

#include <string>
#include <vector>

#include <refnorm/kernels/sweeps.h>

namespace refnorm::kernels {

/// The instruction sets that both this build and this machine have, best first ("avx3", "avx2", "sse4", …);
/// the plain loops come last, as "plain".
std::vector<std::string> instruction_sets();

/// The one in use: the best of the machine, or the one that the environment variable REFNORM_ISA or
/// use_instruction_set() names. Throws std::invalid_argument where REFNORM_ISA names an unknown one; so does
/// sweeps().
std::string instruction_set();

/// From now on, for all threads. Throws std::invalid_argument, naming the known ones.
void use_instruction_set(const std::string& name);

/// The sweeps of the instruction set in use. Instantiated for float, double and Bfloat16.
template <class T>
const Sweeps<T>& sweeps();

/// Those of one instruction set; throws like use_instruction_set().
template <class T>
const Sweeps<T>& sweeps(const std::string& instruction_set);

}  // namespace refnorm::kernels
