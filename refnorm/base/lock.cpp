#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/base/lock.h>

namespace refnorm {

FolderLock::FolderLock(const std::filesystem::path& folder)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  // Where the file system knows no locks (ENOLCK, EOPNOTSUPP), working without one beats not working.
  if (fd_ < 0 || ::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(fd_);
  user_error("{}: another process is at work in this folder", folder.string());
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace refnorm
