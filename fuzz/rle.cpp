// COCO's compressed masks: two bytes of sizes, then the text.
#include <refnorm/base/rle.h>

#include "fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refnorm;
  if (size < 2) return 0;
  fuzz::expect_user_error_or_success([&] {
    const Rle mask = rle_from_text(fuzz::view(data + 2, size - 2), data[0], data[1], fuzz::kOrigin);
    std::int64_t sum = 0;
    for (const std::uint32_t count : mask.counts) sum += count;
    fuzz::expect(sum == mask.height * mask.width, "runs add up to the size");
    fuzz::expect(rle_from_text(rle_text(mask), data[0], data[1], fuzz::kOrigin) == mask,
                 "the text is the mask's");
    const std::vector<std::uint8_t> dense = decode_mask(mask);
    const Rle canonical = encode_mask(dense, mask.height, mask.width);
    fuzz::expect(mask_area(canonical) == mask_area(mask), "empty runs have no pixels");
    fuzz::expect(mask_box(canonical) == mask_box(mask), "and no box");
    fuzz::expect(merged(mask, mask, Merge::kUnion) == canonical, "a mask united with itself is itself");
    fuzz::expect(mirrored(mirrored(mask)) == canonical, "mirrored twice is as before");
    fuzz::expect(intersection(mask_runs(mask), mask_runs(canonical)) == mask_area(mask), "all is in common");
  });
  return 0;
}
