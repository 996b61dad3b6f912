#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/base/safetensors.h>

namespace refnorm::fuzz {

constexpr const char* kOrigin = "fuzzed";

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::abort();
}

inline std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A reader ends in success or in a UserError of one line that names the file.
template <class Read>
void expect_user_error_or_success(Read&& read) {
  try {
    std::forward<Read>(read)();
  } catch (const UserError& error) {
    const std::string_view message = error.what();
    expect(message.starts_with(kOrigin), "the message names the file");
    expect(message.find_first_of("\n\r") == std::string_view::npos, "the message is one line");
    expect(message.size() < 1000, "the message is short");
  }
}

/// What is promised of every tensor, and of all of them together.
inline void expect_sound(const Safetensors& content, std::uint64_t most_bytes) {
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : content.tensors) {
    const auto size = dtype_size(tensor.dtype);
    const auto count = element_count(tensor.shape);
    expect(size && count, "dtype and shape are known");
    expect(static_cast<std::uint64_t>(*count) * static_cast<std::uint64_t>(*size) == tensor.bytes.size(),
           "the shape fits the bytes");
    total += tensor.bytes.size();
  }
  expect(total <= most_bytes, "the tensors are bounded by the file");
}

}  // namespace refnorm::fuzz
