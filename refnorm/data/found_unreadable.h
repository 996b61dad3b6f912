#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <refnorm/data/image_set.h>

namespace refnorm::data {

/// The unreadable pictures that several threads find.
class FoundUnreadable {
 public:
  void add(const std::string& file, const std::string& why) const {
    const std::lock_guard lock(mutex_);
    by_file_.emplace(file, why);
  }
  /// By name, none twice.
  std::vector<Unreadable> list() const {
    const std::lock_guard lock(mutex_);
    std::vector<Unreadable> all;
    for (const auto& [file, why] : by_file_) all.push_back({file, why});
    return all;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::string> by_file_;
};

}  // namespace refnorm::data
