#include <algorithm>

#include <refnorm/data/picture_look.h>

#include "fuzz/expect.h"

/// The first bytes say which part, and how large it has to stay; the file is behind them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refnorm;
  constexpr std::size_t kChoices = 5;
  if (size < kChoices) return 0;
  const auto share = [&](std::size_t i, std::int64_t of) { return data[i] * of / 256; };
  fuzz::expect_user_error_or_success([&] {
    data::PictureSource source(std::string(fuzz::view(data + kChoices, size - kChoices)), fuzz::kOrigin);
    const std::int64_t height = source.height();
    const std::int64_t width = source.width();
    fuzz::expect(height > 0 && width > 0, "a picture has pixels");
    if (height * width > 1'000'000) return;  // takes its time, and shows nothing new
    const data::Box box{share(0, height), share(1, width), 1 + share(2, height - share(0, height)),
                        1 + share(3, width - share(1, width))};
    const data::Box part_of{box.top, box.left, std::min(box.height, height - box.top),
                            std::min(box.width, width - box.left)};
    data::PictureSource::Part part;
    source.decode(part_of, 1 + data[4], 1 + data[4], part);
    fuzz::expect(
        part.pixels.values.size() == static_cast<std::size_t>(part.pixels.height * part.pixels.width * 4),
        "as many bytes as pixels");
    fuzz::expect(part.top * part.denominator <= part_of.top &&
                     (part.top + part.pixels.height) * part.denominator >= part_of.top + part_of.height,
                 "all rows of the part are there");
    data::PictureLook look;
    look.size = look.resize = 16;
    data::Workspace workspace;
    std::vector<float> values(static_cast<std::size_t>(look.values()));
    write_evaluation_look(source, look, workspace, values.data());
    RandomStream random(data[4], "fuzz");
    write_training_look(source, look, {}, random, workspace, values.data());
  });
  return 0;
}
