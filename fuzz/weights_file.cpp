#include <refnorm/base/torch_file.h>
#include <refnorm/base/weights_file.h>

#include "fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refnorm;
  fuzz::expect_user_error_or_success([&] {
    fuzz::expect_sound(parse_weights(fuzz::view(data, size), fuzz::kOrigin), kLargestGrowth * size);
  });
  return 0;
}
