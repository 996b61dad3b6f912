#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>
#include <string_view>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/data/folder_index.h>

namespace refnorm::data {
namespace {

namespace fs = std::filesystem;

constexpr auto kEndings = std::to_array<std::string_view>(
    {".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".webp"});

bool is_hidden(const fs::path& file) {
  return file.filename().native().starts_with('.');
}

bool is_picture(const fs::path& file) {
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return !is_hidden(file) && std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

/// Names appear in results and reports, which are UTF-8.
void check_name(const fs::path& parent, const std::string& name) {
  if (!is_utf8(name)) user_error("{}: the name '{}' in it is not UTF-8", parent.string(), printable(name));
}

}  // namespace

FolderIndex::FolderIndex(fs::path folder) : folder_(std::move(folder)) {
  try {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.is_directory() && !is_hidden(entry.path())) found.push_back(entry.path().filename().string());
    }
    if (found.empty()) user_error("{}: has no class folders, expected CLASS/PICTURE in it", folder_.string());
    std::sort(found.begin(), found.end());
    for (const std::string& name : found) add_class(name);
  } catch (const fs::filesystem_error& error) {
    user_error("{}: cannot be read ({})", folder_.string(), error.code().message());
  }
  names_.shrink_to_fit();
}

void FolderIndex::add_class(const std::string& name) {
  check_name(folder_, name);
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / name)) {
    if (!is_picture(entry.path()) || !entry.is_regular_file()) continue;
    files.push_back(entry.path().lexically_relative(folder_).string());
    check_name(folder_ / name, files.back());
  }
  if (files.empty()) {
    user_error("{}: has no pictures, expected files such as *.jpg or *.png", (folder_ / name).string());
  }
  std::sort(files.begin(), files.end());
  const auto label = static_cast<std::int32_t>(classes_.size());
  classes_.push_back(name);
  for (const std::string& file : files) {
    names_ += file;
    ends_.push_back(names_.size());
    labels_.push_back(label);
  }
}

std::string FolderIndex::name(std::int64_t index) const {
  const auto place = static_cast<std::size_t>(index);
  const std::size_t begin = place == 0 ? 0 : ends_[place - 1];
  return names_.substr(begin, ends_[place] - begin);
}

void check_same_classes(const FolderIndex& train, const FolderIndex& test) {
  const auto lacking = [](const FolderIndex& in, const FolderIndex& of) {
    std::vector<std::string> names;
    std::set_difference(in.classes().begin(), in.classes().end(), of.classes().begin(), of.classes().end(),
                        std::back_inserter(names));
    return names;
  };
  const std::vector<std::string> only_train = lacking(train, test);
  const std::vector<std::string> only_test = lacking(test, train);
  if (only_train.empty() && only_test.empty()) return;
  const bool first = !only_train.empty();
  const std::vector<std::string>& names = first ? only_train : only_test;
  user_error("{}: has no folder for the class '{}' of {}{}, expected the same classes in both",
             (first ? test : train).folder().string(), names.front(),
             (first ? train : test).folder().filename().string(),
             names.size() > 1 ? " (and lacks " + std::to_string(names.size() - 1) + " more)" : "");
}

}  // namespace refnorm::data
