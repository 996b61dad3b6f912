// Bytes as an ONNX file: they are read, or refused by a UserError, and nothing else.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <refnorm/base/error.h>
#include <refnorm/deploy/onnx_network.h>

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    refnorm::deploy::OnnxNetwork::parse({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const refnorm::UserError&) {
  }
  return 0;
}
