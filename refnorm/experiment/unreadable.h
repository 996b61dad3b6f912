#pragma once

#include <filesystem>
#include <set>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/data/image_set.h>

namespace refnorm::experiment {

/// What a run knows of pictures that cannot be read, where the recipe says that they are passed over. It is
/// kept in RUN/unreadable.json as soon as one is found, since a resumed run may not meet it again.
class UnreadableLog {
 public:
  /// Takes up what a file of that name has.
  UnreadableLog(const data::Splits& splits, const std::filesystem::path& folder);

  /// Looks what the sets have found; writes the file where that is more. Returns what is new.
  std::vector<data::Unreadable> update();

  const std::set<data::Unreadable>& all() const { return all_; }

 private:
  std::vector<const data::ImageSet*> sets_;
  std::filesystem::path file_;
  std::set<data::Unreadable> all_;
};

/// What the sets have found so far.
std::set<data::Unreadable> unreadable_of(const data::Splits& splits);

/// {"train": 2, "val": 1, "files": [{"file": "train/…", "why": "…"}, …]}, by file.
Json to_json(const std::set<data::Unreadable>& files);

}  // namespace refnorm::experiment
