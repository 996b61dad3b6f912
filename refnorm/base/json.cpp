#include <set>
#include <vector>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/json.h>
#include <refnorm/base/text.h>

namespace refnorm {

namespace {

/// Copying and writing a document recurse, and nothing that people or programs write for us is nested this
/// deeply.
constexpr int kDeepest = 100;

/// Checks a document while it is scanned, and builds nothing. The library's parser with a callback would do
/// it in the same pass, but walks over all elements of an array at the end of each object in it.
class Checker : public nlohmann::json_sax<SortedJson> {
 public:
  explicit Checker(const std::string& origin) : origin_(origin) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    enter();
    keys_.emplace_back();
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    enter();
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      user_error("{}: the key '{}' stands twice in one object", origin_, printable(name));
    }
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const SortedJson::out_of_range*>(&error) != nullptr) {
      user_error("{}: a number is too large at byte {}", origin_, byte);
    }
    user_error("{}: not valid JSON at byte {}", origin_, byte);
  }

 private:
  void enter() {
    if (++depth_ > kDeepest) user_error("{}: nested more than {} levels deep", origin_, kDeepest);
  }

  const std::string& origin_;
  std::vector<std::set<std::string>> keys_;
  int depth_ = 0;
};

template <class Document>
Document parse(std::string_view text, const std::string& origin) {
  Checker checker(origin);
  SortedJson::sax_parse(text, &checker);
  return Document::parse(text);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& origin) {
  return parse<Json>(text, origin);
}

SortedJson parse_json_sorted(std::string_view text, const std::string& origin) {
  return parse<SortedJson>(text, origin);
}

Json read_json(const std::filesystem::path& file) {
  return parse_json(read_file(file), file.string());
}

void write_json(const std::filesystem::path& file, const Json& value) {
  write_file(file, value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace refnorm
