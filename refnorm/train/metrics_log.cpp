#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <refnorm/base/error.h>
#include <refnorm/train/metrics_log.h>

namespace refnorm::train {

MetricsLog::MetricsLog(std::filesystem::path file, std::int64_t keep) : file_(std::move(file)), bytes_(keep) {
  fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("{}: cannot be written ({})", file_.string(), std::strerror(errno));
  if (::lseek(fd_, 0, SEEK_END) < keep) {
    ::close(fd_);
    user_error("{}: shorter than the {} bytes that the checkpoint counts on", file_.string(), keep);
  }
  if (::ftruncate(fd_, keep) != 0 || ::lseek(fd_, keep, SEEK_SET) != keep) {
    ::close(fd_);
    fail("{}: cannot be cut to {} bytes ({})", file_.string(), keep, std::strerror(errno));
  }
}

MetricsLog::~MetricsLog() {
  ::close(fd_);
}

void MetricsLog::write(const Json& line) {
  const std::string text = line.dump() + "\n";
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t now = ::write(fd_, text.data() + written, text.size() - written);
    if (now < 0 && errno == EINTR) continue;
    if (now < 0) fail("{}: cannot be written ({})", file_.string(), std::strerror(errno));
    written += static_cast<std::size_t>(now);
  }
  bytes_ += static_cast<std::int64_t>(text.size());
}

void MetricsLog::sync() {
  if (::fsync(fd_) != 0 && errno != EINVAL)
    fail("{}: cannot be synced to disk ({})", file_.string(), std::strerror(errno));
}

}  // namespace refnorm::train
