#include "fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refnorm;
  for (const Checksum checksum : {Checksum::kIfPresent, Checksum::kRequired}) {
    fuzz::expect_user_error_or_success([&] {
      const Safetensors content = parse_safetensors(fuzz::view(data, size), fuzz::kOrigin, checksum);
      fuzz::expect_sound(content, size);
      // What was read can be written, and read again.
      const Safetensors again =
          parse_safetensors(to_safetensors(content), fuzz::kOrigin, Checksum::kRequired);
      fuzz::expect(again.tensors.size() == content.tensors.size() && again.metadata == content.metadata,
                   "what was read is written");
      for (std::size_t i = 0; i < content.tensors.size(); ++i) {
        fuzz::expect(again.tensors[i].first == content.tensors[i].first &&
                         again.tensors[i].second.bytes == content.tensors[i].second.bytes,
                     "names and bytes survive");
      }
    });
  }
  return 0;
}
