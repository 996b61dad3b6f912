#pragma once

#include <string>
#include <vector>

#include "bench_measure.h"
#include "command.h"

namespace refnorm::cli {

/// The cases of one norm, dtype, memory format and choice of what follows.
struct NormTable {
  std::string norm, dtype, format, then;
  std::vector<Measured> cases;
  std::vector<std::string> notes;
};

Json to_json(const NormTable& table);
std::string to_text(const NormTable& table);

}  // namespace refnorm::cli
