#include "bench_shapes.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/text.h>

#include "bench_shapes_carried.h"

namespace refnorm::cli {
namespace {

constexpr std::int64_t kMostValues = std::int64_t{1} << 31;

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; (begin = line.find_first_not_of(" \t\r", begin)) != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
    words.emplace_back(line.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

/// A line of a file of shapes, for its errors.
struct Place {
  const std::string& origin;
  std::size_t line;

  template <class... Args>
  [[noreturn]] void complain(fmt::format_string<Args...> format, Args&&... args) const {
    user_error("{}:{}: {}", printable(origin, 200), line, fmt::format(format, std::forward<Args>(args)...));
  }
};

std::int64_t read_size(const std::string& word, const char* name, const Place& place) {
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), size);
  if (error != std::errc() || end != word.data() + word.size() || size < 1 || size > kMostValues) {
    place.complain("{} is '{}', expected a whole number of 1 to {}", name, printable(word), kMostValues);
  }
  return size;
}

NormShape read_line(const std::vector<std::string>& words, const Place& place) {
  if (words.size() < 4 || words.size() > 6) {
    place.complain("{} words, expected N C H W [COUNT [none|relu|add_relu]]", words.size());
  }
  NormShape shape;
  const std::pair<const char*, std::int64_t*> sizes[] = {
      {"N", &shape.n}, {"C", &shape.c}, {"H", &shape.h}, {"W", &shape.w}, {"COUNT", &shape.count}};
  for (std::size_t i = 0; i < std::min(words.size(), std::size(sizes)); ++i) {
    *sizes[i].second = read_size(words[i], sizes[i].first, place);
  }
  std::int64_t values = 1;
  for (std::size_t i = 0; i < 4; ++i) {
    if (values > kMostValues / *sizes[i].second) place.complain("more values than {}", kMostValues);
    values *= *sizes[i].second;
  }
  if (words.size() == 6) {
    const std::vector<std::string> known(std::begin(kThenNames), std::end(kThenNames));
    if (std::find(known.begin(), known.end(), words[5]) == known.end()) {
      place.complain("THEN is '{}', expected one of: {}", printable(words[5]), join(known, ", "));
    }
    shape.then = then_named(words[5]);
  }
  return shape;
}

}  // namespace

Then then_named(std::string_view name) {
  for (const Then then : {Then::kNone, Then::kRelu}) {
    if (name == name_of(then)) return then;
  }
  return Then::kAddRelu;
}

std::string NormShape::to_string() const {
  return fmt::format("{}x{}x{}x{}", n, c, h, w);
}

std::vector<NormShape> parse_shapes(std::string_view text, const std::string& origin) {
  std::vector<NormShape> shapes;
  std::size_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    const std::vector<std::string> words = words_of(std::string_view(line).substr(0, line.find('#')));
    if (!words.empty()) shapes.push_back(read_line(words, {origin, number}));
  }
  if (shapes.empty()) user_error("{}: no shapes, expected lines of N C H W", printable(origin, 200));
  return shapes;
}

std::vector<std::string> known_shapes() {
  std::vector<std::string> names;
  for (const CarriedShapes& list : kCarriedShapes) names.emplace_back(list.name);
  return names;
}

std::vector<NormShape> read_shapes(const std::string& name_or_file) {
  for (const CarriedShapes& list : kCarriedShapes) {
    if (name_or_file == list.name) return parse_shapes(list.text, name_or_file);
  }
  if (name_or_file.find('/') == std::string::npos && !std::filesystem::exists(name_or_file)) {
    user_error("--shapes: '{}' is neither a file nor a known list{}", printable(name_or_file),
               suggestion(name_or_file, known_shapes()));
  }
  return parse_shapes(read_file(name_or_file), name_or_file);
}

}  // namespace refnorm::cli
