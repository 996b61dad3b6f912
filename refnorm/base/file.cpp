#include <refnorm/base/error.h>
#include <refnorm/base/file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace refnorm {
namespace {

namespace fs = std::filesystem;

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, mode_t mode = 0666) : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string reason() { return std::strerror(errno); }

void sync_path(const fs::path& path, int flags) {
  const Descriptor descriptor(path, flags);
  // Some file systems cannot sync a folder (EINVAL); the rename is then as durable as it gets there.
  if (descriptor.get() < 0 || (::fsync(descriptor.get()) != 0 && errno != EINVAL)) {
    fail("{}: cannot be synced to disk ({})", path.string(), reason());
  }
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void write_all(int fd, std::string_view bytes, const fs::path& file) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("{}: cannot be written ({})", file.string(), reason());
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::string read_file(const fs::path& file) {
  const Descriptor descriptor(file, O_RDONLY);
  struct stat info {};
  if (descriptor.get() < 0 || ::fstat(descriptor.get(), &info) != 0) {
    user_error("{}: cannot be read ({})", file.string(), reason());
  }
  if (!S_ISREG(info.st_mode)) user_error("{}: is not a regular file", file.string());
  std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::read(descriptor.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) user_error("{}: cannot be read ({})", file.string(), reason());
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

void write_file(const fs::path& file, std::string_view bytes) {
  fs::path beside = file;
  beside += ".tmp";
  try {
    {
      const Descriptor descriptor(beside, O_WRONLY | O_CREAT | O_TRUNC);
      if (descriptor.get() < 0) fail("{}: cannot be written ({})", file.string(), reason());
      write_all(descriptor.get(), bytes, file);
      if (::fsync(descriptor.get()) != 0) fail("{}: cannot be synced to disk ({})", file.string(), reason());
    }
    if (std::rename(beside.c_str(), file.c_str()) != 0) {
      fail("{}: cannot be replaced ({})", file.string(), reason());
    }
  } catch (...) {
    std::error_code ignored;
    fs::remove(beside, ignored);
    throw;
  }
  sync_path(parent_of(file), O_RDONLY | O_DIRECTORY);
}

void replace_folder(const fs::path& fresh, const fs::path& target) {
  for (const auto& entry : fs::directory_iterator(fresh)) sync_path(entry.path(), O_RDONLY);
  sync_path(fresh, O_RDONLY | O_DIRECTORY);
  if (!fs::exists(target)) {
    if (std::rename(fresh.c_str(), target.c_str()) != 0) {
      fail("{}: cannot be created ({})", target.string(), reason());
    }
  } else {
    if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
      fail("{}: cannot be exchanged with {} ({}); the file system needs atomic exchange", target.string(),
           fresh.string(), reason());
    }
    fs::remove_all(fresh);
  }
  sync_path(parent_of(target), O_RDONLY | O_DIRECTORY);
}

void make_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code || !fs::is_directory(folder)) {
    user_error("{}: cannot be made a folder ({})", folder.string(), code ? code.message() : "a file is in the way");
  }
}

}  // namespace refnorm
