#pragma once

#include <cstdint>
#include <filesystem>

#include <refnorm/base/json.h>

namespace refnorm::train {

/// metrics.jsonl: one JSON object a line, appended. What was written after the checkpoint that a run goes on
/// from is cut off, so that the finished file is that of an uninterrupted run.
class MetricsLog {
 public:
  /// Keeps the first `keep` bytes of what is there. Throws UserError if there are fewer.
  MetricsLog(std::filesystem::path file, std::int64_t keep);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  void write(const Json& line);
  void sync();
  std::int64_t bytes() const { return bytes_; }

 private:
  std::filesystem::path file_;
  int fd_ = -1;
  std::int64_t bytes_ = 0;
};

}  // namespace refnorm::train
