#pragma once

#include <string>
#include <utility>
#include <vector>

#include <refnorm/base/file.h>
#include <refnorm/data/image_folder.h>

#include "tests/base/helpers.h"
#include "tests/data/picture_files.h"

namespace refnorm::testing {

/// PATH/part/CLASS/name.
inline void put(const TemporaryFolder& folder, const std::string& name, const std::string& bytes) {
  make_folder((folder / name).parent_path());
  write_file(folder / name, bytes);
}

/// A folder of three classes, a to c, with so many pictures each in train/ and two in val/.
inline void put_pictures(const TemporaryFolder& folder, int each) {
  std::uint64_t seed = 0;
  for (const std::string name : {"a", "b", "c"}) {
    for (int i = 0; i < each; ++i, ++seed) {
      const cv::Mat pixels = textured(40 + static_cast<int>(seed % 5) * 7, 50, seed);
      put(folder, "train/" + name + "/" + std::to_string(i) + (i % 2 == 0 ? ".jpg" : ".png"),
          encoded(pixels, i % 2 == 0 ? ".jpg" : ".png"));
    }
    for (int i = 0; i < 2; ++i, ++seed)
      put(folder, "val/" + name + "/" + std::to_string(i) + ".png", encoded(textured(45, 41, seed), ".png"));
  }
}

inline data::FolderOptions small_looks(data::OnError on_error = data::OnError::kStop) {
  data::FolderOptions options;
  options.look.size = 24;
  options.look.resize = 28;
  options.seed = 5;
  options.on_error = on_error;
  return options;
}

}  // namespace refnorm::testing
