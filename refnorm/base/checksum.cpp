#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <zlib.h>

#include <refnorm/base/checksum.h>
#include <refnorm/base/error.h>

namespace refnorm {

std::uint32_t crc32(std::string_view bytes, std::uint32_t previous) {
  if (bytes.empty()) return previous;  // zlib takes a null pointer as the wish to start anew
  return static_cast<std::uint32_t>(
      ::crc32_z(previous, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    fail("SHA-256 is not available in this OpenSSL");
  }
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace refnorm
