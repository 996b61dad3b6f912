#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/data/image_set.h>

namespace refnorm::train {
class Group;
}

namespace refnorm::experiment {

/// Where pictures that cannot be read turn up.
struct PictureSources {
  std::vector<std::function<std::vector<data::Unreadable>()>> sets;  ///< what each has found so far
  std::string train = "train", val = "val";                          ///< the folders that files are named by
};

PictureSources sources_of(const data::Splits& splits);

/// What the sets of all processes of the group have found so far, which all call it alike.
std::vector<data::Unreadable> found_by_all(const PictureSources& sources, train::Group& group);

/// What a run knows of pictures that cannot be read, where the recipe says that they are passed over. It is
/// kept in RUN/unreadable.json as soon as one is found, since a resumed run may not meet it again.
class UnreadableLog {
 public:
  /// Takes up what a file of that name has.
  UnreadableLog(PictureSources sources, const std::filesystem::path& folder);

  /// Looks what the sets have found; writes the file where that is more. Returns what is new.
  std::vector<data::Unreadable> update();
  /// The same of the sets of all processes, whose other ones call found_by_all().
  void update(train::Group& group);
  /// The same as lines for the terminal: the first twenty of a run are said there.
  std::vector<std::string> news();
  /// As result.json has it.
  Json summary() const;

 private:
  std::vector<data::Unreadable> take(std::vector<data::Unreadable> found);

  PictureSources sources_;
  std::filesystem::path file_;
  std::set<data::Unreadable> all_;
};

/// What the sets have found so far, as result.json has it: {"train": 2, "val": 1, "files": [{"file":
/// "train/…", "why": "…"}, …]}, by file.
Json unreadable_of(const PictureSources& sources);

}  // namespace refnorm::experiment
