#include <algorithm>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/experiment/unreadable.h>
#include <refnorm/train/processes/group.h>

namespace refnorm::experiment {
namespace {

/// More than these lie in RUN/unreadable.json alone.
constexpr std::size_t kSaid = 20;

std::vector<data::Unreadable> found_by(const PictureSources& sources) {
  std::vector<data::Unreadable> found;
  for (const auto& set : sources.sets) {
    for (data::Unreadable& one : set()) found.push_back(std::move(one));
  }
  return found;
}

Json to_json(const std::set<data::Unreadable>& files, const PictureSources& sources) {
  Json list = Json::array();
  for (const data::Unreadable& one : files) list.push_back({{"file", one.file}, {"why", one.why}});
  const auto in = [&](const std::string& folder) {
    return std::count_if(files.begin(), files.end(),
                         [&](const data::Unreadable& one) { return one.file.starts_with(folder + "/"); });
  };
  return {{"train", in(sources.train)}, {"val", in(sources.val)}, {"files", list}};
}

}  // namespace

PictureSources sources_of(const data::Splits& splits) {
  PictureSources sources;
  for (const auto& set : {splits.train, splits.validation, splits.test})
    sources.sets.emplace_back([set] { return set->unreadable(); });
  return sources;
}

std::vector<data::Unreadable> found_by_all(const PictureSources& sources, train::Group& group) {
  std::vector<data::Unreadable> own = found_by(sources);
  if (group.size() == 1) return own;
  Json found = Json::array();
  for (const data::Unreadable& one : own) found.push_back({one.file, one.why});
  std::vector<data::Unreadable> all;
  for (const std::string& text : group.gather(found.dump(-1, ' ', false, Json::error_handler_t::replace))) {
    for (const Json& one : Json::parse(text))
      all.push_back({one.at(0).get<std::string>(), one.at(1).get<std::string>()});
  }
  return all;
}

UnreadableLog::UnreadableLog(PictureSources sources, const std::filesystem::path& folder)
    : sources_(std::move(sources)), file_(folder / "unreadable.json") {
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
  return take(found_by(sources_));
}

void UnreadableLog::update(train::Group& group) {
  take(found_by_all(sources_, group));
}

std::vector<data::Unreadable> UnreadableLog::take(std::vector<data::Unreadable> found) {
  std::vector<data::Unreadable> fresh;
  for (data::Unreadable& one : found) {
    if (all_.insert(one).second) fresh.push_back(std::move(one));
  }
  if (!fresh.empty()) write_json(file_, summary());
  return fresh;
}

std::vector<std::string> UnreadableLog::news() {
  std::vector<std::string> lines;
  for (const data::Unreadable& one : update()) {
    if (all_.size() <= kSaid) lines.push_back(fmt::format("passed over {}: {}", one.file, one.why));
  }
  return lines;
}

Json UnreadableLog::summary() const {
  return to_json(all_, sources_);
}

Json unreadable_of(const PictureSources& sources) {
  std::set<data::Unreadable> all;
  for (data::Unreadable& one : found_by(sources)) all.insert(std::move(one));
  return to_json(all, sources);
}

}  // namespace refnorm::experiment
