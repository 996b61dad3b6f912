#pragma once

#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace refnorm::cli {

/// The decoders of pictures write warnings of their own there, of which each one that matters is an error of
/// ours.
class QuietStandardError {
 public:
  QuietStandardError() : kept_(dup(STDERR_FILENO)), nowhere_(open("/dev/null", O_WRONLY | O_CLOEXEC)) {
    std::fflush(stderr);
    if (kept_ >= 0 && nowhere_ >= 0) dup2(nowhere_, STDERR_FILENO);
  }
  ~QuietStandardError() {
    if (kept_ >= 0) dup2(kept_, STDERR_FILENO);
    for (const int file : {kept_, nowhere_}) {
      if (file >= 0) close(file);
    }
  }
  QuietStandardError(const QuietStandardError&) = delete;
  QuietStandardError& operator=(const QuietStandardError&) = delete;

 private:
  int kept_, nowhere_;
};

}  // namespace refnorm::cli
