#pragma once

#include <cstdint>
#include <string>

#include <refnorm/base/json.h>
#include <refnorm/data/scene.h>

namespace refnorm::data {

/// Gathers scenes into a file of COCO's format; ids count from 1, masks are run lengths (refnorm/base/rle.h).
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
