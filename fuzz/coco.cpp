// COCO's files: a byte that says which of them, then the file.
#include <refnorm/data/coco_instances.h>
#include <refnorm/data/coco_results.h>

#include "fuzz/expect.h"

namespace {

using namespace refnorm;

void read_instances(std::string_view text) {
  const data::CocoInstances all = data::parse_coco_instances(text, fuzz::kOrigin);
  for (const data::CocoAnnotation& one : all.annotations) {
    const data::CocoImage& image = all.images.at(static_cast<std::size_t>(one.image));
    all.categories.at(static_cast<std::size_t>(one.category));
    if (image.height * image.width > 1'000'000) continue;  // takes its time, and shows nothing new
    std::vector<std::uint8_t> cells(49);
    const Placement place{2, 3, true, static_cast<double>(image.width)};
    crop_mask(one.mask, place, placed_box(one.box, place), 7, cells);
    if (!one.mask.empty()) {
      const Rle mask = instance_rle(one.mask, image.height, image.width);
      fuzz::expect(mask_area(mask) <= image.height * image.width, "an area is no larger than the picture");
    }
  }
  for (const data::CocoProblem& problem : all.problems)
    fuzz::expect(problem.what.find_first_of("\n\r") == std::string::npos, "a problem is one line");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text = fuzz::view(data + 1, size - 1);
  fuzz::expect_user_error_or_success([&] {
    if (data[0] % 2 == 0) {
      read_instances(text);
    } else {
      const auto found = data::parse_coco_results(text, fuzz::kOrigin);
      const auto again = data::parse_coco_results(data::coco_results_text(found), fuzz::kOrigin);
      fuzz::expect(found.size() == again.size(), "what is written is read again");
      for (std::size_t i = 0; i < found.size(); ++i) {
        fuzz::expect(found[i].score == again[i].score && found[i].box == again[i].box, "the same numbers");
        fuzz::expect(found[i].mask == again[i].mask, "the same mask");
      }
    }
  });
  return 0;
}
