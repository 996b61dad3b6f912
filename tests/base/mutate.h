#pragma once

#include <string>

#include <refnorm/base/random.h>

namespace refnorm::testing {

/// One to four random damages: a changed, inserted or removed byte, a cut, a piece repeated elsewhere.
inline std::string mutate(std::string bytes, RandomStream& random) {
  const auto edits = 1 + random.below(4);
  for (std::uint64_t edit = 0; edit < edits; ++edit) {
    const auto at = static_cast<std::size_t>(random.below(bytes.size() + 1));
    const char value = static_cast<char>(random.below(256));
    switch (random.below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = value;
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
        break;
      case 2:
        bytes.insert(at, 1, value);
        break;
      case 3:
        if (at < bytes.size()) bytes.erase(at, 1);
        break;
      case 4:
        bytes.resize(at);
        break;
      default:
        bytes.insert(random.below(bytes.size() + 1), bytes.substr(at, random.below(16)));
    }
  }
  return bytes;
}

}  // namespace refnorm::testing
