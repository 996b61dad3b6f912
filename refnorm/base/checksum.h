#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace refnorm {

/// CRC-32 (ISO 3309). `previous` continues an earlier sum.
std::uint32_t crc32(std::string_view bytes, std::uint32_t previous = 0);

/// SHA-256, as 64 lower-case hexadecimal digits.
std::string sha256(std::string_view bytes);

}  // namespace refnorm
