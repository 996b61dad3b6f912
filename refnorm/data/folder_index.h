#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace refnorm::data {

/// The pictures below a folder whose own folders are the classes, FOLDER/CLASS/…/PICTURE. Classes and
/// pictures are in the order of their names' bytes, so that an index means the same on every machine.
class FolderIndex {
 public:
  /// Files of other endings than those of pictures (.jpg, .jpeg, .png, .bmp, .pgm, .ppm, .pnm, .tif, .tiff,
  /// .webp, in any case) and hidden ones are passed over; folders within a class are gone through, links to
  /// folders only in place of a class. No file is opened. Throws UserError: no such folder, no classes, a
  /// class without pictures, a name that is not UTF-8.
  explicit FolderIndex(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  const std::vector<std::string>& classes() const { return classes_; }
  std::int64_t size() const { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t label(std::int64_t index) const { return labels_[static_cast<std::size_t>(index)]; }
  /// Its path in folder(), beginning with the class.
  std::string name(std::int64_t index) const;
  std::filesystem::path file(std::int64_t index) const { return folder_ / name(index); }

 private:
  void add_class(const std::string& name);

  std::filesystem::path folder_;
  std::vector<std::string> classes_;
  std::vector<std::int32_t> labels_;
  // One text for all: ImageNet has 1.28 million names.
  std::string names_;
  std::vector<std::size_t> ends_;
};

/// Throws UserError where the two have not the same classes.
void check_same_classes(const FolderIndex& train, const FolderIndex& test);

}  // namespace refnorm::data
