#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/text.h>

#include <set>
#include <vector>

namespace refnorm {

Json parse_json(std::string_view text, const std::string& origin) {
  std::vector<std::set<std::string>> keys;
  auto reject_repeated_keys = [&](int, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      user_error("{}: the key '{}' stands twice in one object", origin, printable(parsed.get<std::string>()));
    }
    return true;
  };
  try {
    return Json::parse(text, reject_repeated_keys);
  } catch (const Json::parse_error& error) {
    user_error("{}: not valid JSON at byte {}", origin, error.byte);
  }
}

Json read_json(const std::filesystem::path& file) { return parse_json(read_file(file), file.string()); }

void write_json(const std::filesystem::path& file, const Json& value) {
  write_file(file, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace refnorm
