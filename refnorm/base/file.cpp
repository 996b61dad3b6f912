#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/file_reader.h>

namespace refnorm {
namespace {

namespace fs = std::filesystem;

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, mode_t mode = 0666)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string reason() {
  return std::strerror(errno);
}

void sync_path(const fs::path& path, int flags) {
  const Descriptor descriptor(path, flags);
  // Some file systems cannot sync a folder (EINVAL); the rename is then as durable as it gets there.
  if (descriptor.get() < 0 || (::fsync(descriptor.get()) != 0 && errno != EINVAL)) {
    fail("{}: cannot be synced to disk ({})", path.string(), reason());
  }
}

/// Files before the folders that name them.
void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory()) sync_tree(entry.path());
    if (entry.is_regular_file()) sync_path(entry.path(), O_RDONLY);
  }
  sync_path(folder, O_RDONLY | O_DIRECTORY);
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

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

// Without O_NONBLOCK, opening a pipe would wait for its writer.
FileReader::FileReader(fs::path file)
    : file_(std::move(file)), fd_(::open(file_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
    const std::string why = reason();
    if (fd_ >= 0) ::close(fd_);
    user_error("{}: cannot be read ({})", file_.string(), why);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd_);
    user_error("{}: is not a regular file", file_.string());
  }
  size_ = info.st_size;
}

FileReader::~FileReader() {
  ::close(fd_);
}

std::size_t FileReader::read(std::span<char> into) {
  for (;;) {
    const ssize_t got = ::read(fd_, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) user_error("{}: cannot be read ({})", file_.string(), reason());
  }
}

std::string read_file(const fs::path& file) {
  FileReader reader(file);
  std::string bytes;
  try {
    bytes.resize(static_cast<std::size_t>(reader.size()));
  } catch (const std::exception&) {
    user_error("{}: does not fit into memory ({} bytes)", file.string(), reader.size());
  }
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const std::size_t got = reader.read({bytes.data() + filled, bytes.size() - filled});
    if (got == 0) break;
    filled += got;
  }
  bytes.resize(filled);
  return bytes;
}

void write_file(const fs::path& file, std::string_view bytes) {
  fs::path beside = file;
  beside += ".tmp";
  bool opened = false;
  try {
    {
      const Descriptor descriptor(beside, O_WRONLY | O_CREAT | O_TRUNC);
      if (descriptor.get() < 0) fail("{}: cannot be written ({})", file.string(), reason());
      opened = true;
      write_all(descriptor.get(), bytes, file);
      if (::fsync(descriptor.get()) != 0) fail("{}: cannot be synced to disk ({})", file.string(), reason());
    }
    if (std::rename(beside.c_str(), file.c_str()) != 0) {
      fail("{}: cannot be replaced ({})", file.string(), reason());
    }
  } catch (...) {
    std::error_code ignored;
    if (opened) fs::remove(beside, ignored);
    throw;
  }
  sync_path(parent_of(file), O_RDONLY | O_DIRECTORY);
}

void replace_folder(const fs::path& fresh, const fs::path& target) {
  try {
    sync_tree(fresh);
    const bool exists = fs::exists(fs::symlink_status(target));
    if (exists && !fs::is_directory(target))
      fail("{}: is not a folder, and a folder was to replace it", target.string());
    if (!exists && std::rename(fresh.c_str(), target.c_str()) != 0) {
      fail("{}: cannot be created ({})", target.string(), reason());
    }
    if (exists && ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
      fail("{}: cannot be exchanged with {} ({}); the file system needs atomic exchange", target.string(),
           fresh.string(), reason());
    }
    sync_path(parent_of(target), O_RDONLY | O_DIRECTORY);
    if (exists) {
      // Only now, when the exchange is on disk: after a loss of power, `target` may still be the old folder.
      sync_path(parent_of(fresh), O_RDONLY | O_DIRECTORY);
      fs::remove_all(fresh);
    }
  } catch (const fs::filesystem_error& error) {
    fail("{}: cannot be put in the place of {} ({})", fresh.string(), target.string(),
         error.code().message());
  }
}

void make_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code || !fs::is_directory(folder)) {
    user_error("{}: cannot be made a folder ({})", folder.string(),
               code ? code.message() : "a file is in the way");
  }
}

}  // namespace refnorm
