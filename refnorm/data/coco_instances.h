#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <refnorm/base/instance_mask.h>

namespace refnorm::data {

struct CocoImage {
  std::int64_t id = 0, height = 0, width = 0;
  std::string file_name;
};

struct CocoCategory {
  std::int64_t id = 0;
  std::string name;
};

struct CocoAnnotation {
  std::int64_t id = 0;
  std::int64_t image = 0, category = 0;  ///< places in the lists of these
  Xywh box{};
  double area = 0;
  bool crowd = false;  ///< a region of many objects
  bool sound = true;   ///< false: the box is empty or outside of the picture, and named among the problems
  InstanceMask mask;   ///< may be empty: some data sets have boxes alone
};

/// What a file says that cannot be or does not fit together, in one line.
struct CocoProblem {
  std::string what;
  /// The entry is not in the lists. Else it is there, and not sound.
  bool left_out = true;
};

/// The objects of a data set, as COCO's instances_*.json has them.
struct CocoInstances {
  std::vector<CocoImage> images;            ///< by rising id
  std::vector<CocoCategory> categories;     ///< by rising id
  std::vector<CocoAnnotation> annotations;  ///< in the file's order
  std::vector<CocoProblem> problems;
};

/// Reads a file while it is parsed: beside the result only a block of it is in memory.
///
/// Left out and named among the problems are pictures, categories and annotations that lack a key or have one
/// twice or of another type, or an id that is there before; pictures without extent; annotations of an
/// unknown picture or category, with a box or an area that is negative, with a polygon of fewer than three
/// corners or half a corner, with a damaged RLE or one of another size than the picture. `iscrowd` may be
/// missing, which means 0, and so may `segmentation`. A box that is empty, or more than a pixel beyond the
/// picture, is named, too, and kept as not sound.
///
/// Throws UserError where the whole is no such file (see read_coco_records).
CocoInstances read_coco_instances(const std::filesystem::path& file);
CocoInstances parse_coco_instances(std::string_view text, const std::string& origin);

/// These pictures, by their places in `all.images`, with their annotations; without problems.
CocoInstances of_images(const CocoInstances& all, std::vector<std::int64_t> places);

/// "FILE: annotation 7: … (and 3 more problems)", for the first of those that `left_out_only` asks for; empty
/// where there is none.
std::string first_problem(const CocoInstances& instances, const std::string& origin, bool left_out_only);

}  // namespace refnorm::data
