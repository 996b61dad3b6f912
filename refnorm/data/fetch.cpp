#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <refnorm/base/checksum.h>
#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/gzip.h>
#include <refnorm/base/text.h>
#include <refnorm/data/fetch.h>
#include <refnorm/data/fetch_sources.h>
#include <refnorm/data/made_dataset.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

std::string bytes_of(const fs::path& file, std::int64_t size) {
  std::string bytes = read_file(file);
  if (!is_gzip(bytes)) return bytes;
  return gunzip(bytes, file.filename().string(), static_cast<std::size_t>(size));
}

/// The verified bytes of the files, in their order.
std::vector<std::string> verified(const std::vector<DatasetFile>& files, const fs::path& folder) {
  std::vector<std::string> contents;
  for (const DatasetFile& file : files) {
    fs::path path = folder / file.name;
    if (!fs::exists(path)) path += ".gz";
    if (!fs::exists(path)) source_failed("it lacks {}", file.name);
    contents.push_back(bytes_of(path, file.size));
    const std::string hash = sha256(contents.back());
    if (hash != file.sha256) {
      source_failed("{} has SHA-256 {}… where {}… was expected", file.name, hash.substr(0, 12),
                    file.sha256.substr(0, 12));
    }
  }
  return contents;
}

bool is_right(const fs::path& path, const DatasetFile& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  if (fs::file_size(path, ignored) != static_cast<std::uintmax_t>(file.size)) return false;
  return sha256(read_file(path)) == file.sha256;
}

std::vector<std::string> names_of(const std::vector<DatasetFile>& files) {
  std::vector<std::string> names;
  names.reserve(files.size());
  for (const DatasetFile& file : files) names.push_back(file.name);
  return names;
}

FetchResult fetch_files(const Dataset& dataset, const fs::path& folder, const FetchOptions& options) {
  FetchResult result{dataset.name, folder, {}, {}, {}};
  std::vector<DatasetFile> needed;
  for (const DatasetFile& file : dataset.files) {
    if (is_right(folder / file.name, file)) {
      result.kept.push_back(file.name);
    } else {
      needed.push_back(file);
    }
  }
  if (needed.empty()) return result;
  const std::string otherwise = fmt::format("you can put {} (plain, or with .gz) into {} yourself",
                                            join(names_of(dataset.files), ", "), folder.string());
  std::vector<std::string> contents;
  result.source = use_first_source(dataset, needed, options, otherwise,
                                   [&](const fs::path& from) { contents = verified(needed, from); });
  make_folder(folder);
  for (std::size_t i = 0; i < needed.size(); ++i) write_file(folder / needed[i].name, contents[i]);
  result.written = names_of(needed);
  return result;
}

}  // namespace

std::string FetchResult::summary() const {
  if (written.empty()) return fmt::format("{}: already complete in {}", dataset, folder.string());
  const std::string also = kept.empty() ? "" : fmt::format("; {} were there already", join(kept, ", "));
  return fmt::format("{}: {} in {}, from {}{}", dataset, join(written, ", "), folder.string(), source, also);
}

FetchResult fetch_dataset(const Dataset& dataset, const fs::path& folder, const FetchOptions& options) {
  std::error_code ignored;
  if (fs::exists(folder, ignored) && !fs::is_directory(folder, ignored)) {
    user_error("{}: is not a folder, and {} is to be put into one", folder.string(), dataset.name);
  }
  if (options.scenes && dataset.made != MadeInto::kScenes)
    user_error("{}: is no set of drawn scenes, so that none of their options can be given", dataset.name);
  if (dataset.made != MadeInto::kNothing) return make_dataset(dataset, folder, options);
  return fetch_files(dataset, folder, options);
}

FetchResult fetch_dataset(const std::string& name, const fs::path& folder, const FetchOptions& options) {
  return fetch_dataset(find_dataset(name), folder, options);
}

}  // namespace refnorm::data
