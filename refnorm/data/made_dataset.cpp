#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/data/fetch_sources.h>
#include <refnorm/data/made_dataset.h>
#include <refnorm/data/stamp_folder.h>
#include <refnorm/data/stamps.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAbout = "about.json";
// Of the rules by which sets are made: one more where the same stamps and options give other files.
constexpr int kRules = 1;

Json scene_options(const SceneSetOptions& options) {
  return {{"seed", options.seed},
          {"train", options.train},
          {"val", options.val},
          {"side", options.side},
          {"held_out", options.held_out}};
}

/// What was asked for, by which a folder that has it is known.
Json asked(const Dataset& dataset, const FetchOptions& options) {
  Json about{{"dataset", dataset.name}, {"rules", kRules}};
  if (dataset.made == MadeInto::kScenes)
    about["options"] = scene_options(options.scenes.value_or(SceneSetOptions{}));
  return about;
}

/// Whether a set was made of the stamps that are asked for: those named, by their fingerprint, else by the
/// source.
bool of_these_stamps(const Json& about, const Dataset& dataset, const FetchOptions& options) {
  if (options.from.empty()) {
    return std::any_of(dataset.sources.begin(), dataset.sources.end(), [&](const FetchSource& source) {
      return about.value("source", "") == source_name(source);
    });
  }
  if (!fs::is_directory(options.from)) return false;
  return about.contains("made") && about["made"].value("stamps_sha256", "") ==
                                       fingerprint(options.from, list_stamps(options.from, kLeastStamps));
}

/// "DIR/" is DIR.
fs::path without_slash(const fs::path& folder) {
  const fs::path normal = folder.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

bool has_what_is_asked(const fs::path& folder, const Json& wanted, const Dataset& dataset,
                       const FetchOptions& options) {
  if (!fs::exists(folder / kAbout)) {
    if (fs::exists(folder) && !fs::is_empty(folder))
      user_error("{}: has other files in it, expected a new folder or one that `refnorm fetch` made",
                 folder.string());
    return false;
  }
  const Json about = read_json(folder / kAbout);
  if (!about.is_object() || !about.contains("dataset") || !about.contains("rules"))
    user_error("{}: is not of a data set that `refnorm fetch` made", (folder / kAbout).string());
  for (const auto& member : wanted.items()) {
    if (!about.contains(member.key()) || about[member.key()] != member.value()) return false;
  }
  return of_these_stamps(about, dataset, options);
}

/// A folder that is gone at the end, unless it took another's place.
class FreshFolder {
 public:
  explicit FreshFolder(fs::path path) : path_(std::move(path)) { clear(); }
  ~FreshFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  FreshFolder(const FreshFolder&) = delete;
  FreshFolder& operator=(const FreshFolder&) = delete;
  const fs::path& path() const { return path_; }
  void clear() {
    fs::remove_all(path_);
    make_folder(path_);
  }

 private:
  fs::path path_;
};

std::string otherwise(const Dataset& dataset) {
  for (const FetchSource& source : dataset.sources) {
    if (source.kind == FetchSource::Kind::kDebianPackage) {
      return fmt::format("install Debian's package {}, or name a folder of such pictures with --from",
                         source.where);
    }
  }
  return "name a folder of such pictures with --from";
}

}  // namespace

FetchResult make_dataset(const Dataset& dataset, const fs::path& folder, const FetchOptions& options) {
  const fs::path target = without_slash(folder);
  FetchResult result{dataset.name, target, {}, {}, {}};
  Json about = asked(dataset, options);
  if (has_what_is_asked(target, about, dataset, options)) {
    result.kept = {kAbout};
    return result;
  }
  if (target.has_parent_path()) make_folder(target.parent_path());
  fs::path beside = target;
  beside += ".tmp";
  FreshFolder fresh(beside);
  result.source = use_first_source(dataset, {}, options, otherwise(dataset), [&](const fs::path& stamps) {
    fresh.clear();
    about["made"] = dataset.made == MadeInto::kScenes
                        ? write_scene_set(stamps, fresh.path(), options.scenes.value_or(SceneSetOptions{}))
                        : write_stamp_folder(stamps, fresh.path());
  });
  about["source"] = result.source;
  about["origin"] = dataset.origin;
  about["license"] = dataset.license;
  write_json(fresh.path() / kAbout, about);
  replace_folder(fresh.path(), target);
  result.written = {"train", "val"};
  if (dataset.made == MadeInto::kScenes) result.written.emplace_back("annotations");
  return result;
}

}  // namespace refnorm::data
