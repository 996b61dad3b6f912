#pragma once

#include <filesystem>

namespace refnorm {

/// Keeps a second process out of a folder while it lives. The lock goes with the process, however it ends.
class FolderLock {
 public:
  /// Throws UserError where another process holds it.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

}  // namespace refnorm
