#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/interrupt.h>
#include <refnorm/data/stamp_folder.h>
#include <refnorm/data/stamps.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLeastSide = 24;
constexpr int kQuality = 95;

std::int64_t write_part(const fs::path& stamps, const std::vector<StampCategory>& categories,
                        const fs::path& to) {
  std::int64_t written = 0;
  for (const StampCategory& category : categories) {
    for (const std::string& file : category.files) {
      if (interrupted()) fail("stopped while making {}", to.string());
      const Rgba stamp = read_stamp(stamps / file);
      if (std::min(stamp.height, stamp.width) < kLeastSide) continue;
      const fs::path picture = to / fs::path(file).replace_extension(".jpg");
      make_folder(picture.parent_path());
      write_file(picture, encoded_jpeg(flattened(stamp), kQuality));
      ++written;
    }
  }
  return written;
}

}  // namespace

Json write_stamp_folder(const fs::path& stamps, const fs::path& to) {
  const auto categories = list_stamps(stamps, kLeastStamps);
  const auto [train, val] = split_stamps(categories);
  Json made{{"classes", categories.size()}};
  made["train"] = write_part(stamps, train, to / "train");
  made["val"] = write_part(stamps, val, to / "val");
  made["stamps_sha256"] = fingerprint(stamps, categories);
  return made;
}

}  // namespace refnorm::data
