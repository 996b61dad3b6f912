#include <algorithm>

#include <refnorm/base/error.h>
#include <refnorm/experiment/unreadable.h>

namespace refnorm::experiment {
namespace {

std::vector<data::Unreadable> found_by(const std::vector<const data::ImageSet*>& sets) {
  std::vector<data::Unreadable> found;
  for (const data::ImageSet* set : sets) {
    for (data::Unreadable& one : set->unreadable()) found.push_back(std::move(one));
  }
  return found;
}

std::vector<const data::ImageSet*> sets_of(const data::Splits& splits) {
  return {splits.train.get(), splits.validation.get(), splits.test.get()};
}

}  // namespace

UnreadableLog::UnreadableLog(const data::Splits& splits, const std::filesystem::path& folder)
    : sets_(sets_of(splits)), file_(folder / "unreadable.json") {
  if (!std::filesystem::exists(file_)) return;
  try {
    for (const Json& one : read_json(file_).at("files"))
      all_.insert({one.at("file").get<std::string>(), one.at("why").get<std::string>()});
  } catch (const Json::exception&) {
    user_error("{}: is not a list of unreadable pictures, expected what refnorm train writes",
               file_.string());
  }
}

std::vector<data::Unreadable> UnreadableLog::update() {
  std::vector<data::Unreadable> fresh;
  for (data::Unreadable& one : found_by(sets_)) {
    if (all_.insert(one).second) fresh.push_back(std::move(one));
  }
  if (!fresh.empty()) write_json(file_, to_json(all_));
  return fresh;
}

std::set<data::Unreadable> unreadable_of(const data::Splits& splits) {
  std::set<data::Unreadable> all;
  for (data::Unreadable& one : found_by(sets_of(splits))) all.insert(std::move(one));
  return all;
}

Json to_json(const std::set<data::Unreadable>& files) {
  Json list = Json::array();
  for (const data::Unreadable& one : files) list.push_back({{"file", one.file}, {"why", one.why}});
  const auto in = [&](const char* part) {
    return std::count_if(files.begin(), files.end(),
                         [&](const data::Unreadable& one) { return one.file.starts_with(part); });
  };
  return {{"train", in("train/")}, {"val", in("val/")}, {"files", list}};
}

}  // namespace refnorm::experiment
