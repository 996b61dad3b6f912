#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace refnorm {

/// A regular file read piece by piece, for those too large to be held. Throws UserError as read_file does.
class FileReader {
 public:
  explicit FileReader(std::filesystem::path file);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  /// As the file was opened.
  std::int64_t size() const { return size_; }
  /// The next bytes, as many as there is room for and are left; 0 only at the end.
  std::size_t read(std::span<char> into);

 private:
  std::filesystem::path file_;
  int fd_;
  std::int64_t size_ = 0;
};

}  // namespace refnorm
