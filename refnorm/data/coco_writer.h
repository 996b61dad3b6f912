#pragma once

#include <cstdint>
#include <string>

#include <refnorm/base/json.h>
#include <refnorm/data/scene.h>

namespace refnorm::data {

/// Run lengths of a mask [height, width], column by column, those of zeros first, as COCO has them.
std::vector<std::int64_t> run_lengths(const std::vector<std::uint8_t>& mask, std::int64_t height,
                                      std::int64_t width);

/// Gathers scenes into a file of COCO's format; ids count from 1.
class CocoWriter {
 public:
  CocoWriter();
  void add_category(const std::string& name);
  /// The objects' things are categories, from 0 in the order they were added.
  void add_picture(const std::string& file_name, const Scene& scene);
  std::int64_t objects() const { return static_cast<std::int64_t>(json_["annotations"].size()); }
  std::string text() const { return json_.dump(); }

 private:
  Json json_;
};

}  // namespace refnorm::data
