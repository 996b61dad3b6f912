#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <utility>

// It cuts file names to the length of its messages on purpose.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstringop-truncation"
#define CSV_IO_NO_THREAD
#include <csv.h>
#pragma GCC diagnostic pop

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/text.h>
#include <refnorm/data/groups.h>

namespace refnorm::data {
namespace {

/// What a row says of a sample; line 0 where there is none.
struct Said {
  std::string group;
  unsigned line = 0;
};

/// A file of groups for so many samples, read row by row.
class GroupFile {
 public:
  GroupFile(std::string name, std::int64_t samples)
      : name_(std::move(name)), said_(static_cast<std::size_t>(samples)) {}

  std::vector<Said> read() {
    const std::string text = read_file(name_);
    try {
      io::CSVReader<2, io::trim_chars<' ', '\t'>, io::double_quote_escape<',', '"'>, io::throw_on_overflow,
                    io::empty_line_comment>
          reader(name_.c_str(), text.data(), text.data() + text.size());
      reader.read_header(io::ignore_extra_column, "index", "group");
      char* index = nullptr;
      char* group = nullptr;
      while (reader.read_row(index, group)) add(index, group, reader.get_file_line());
    } catch (const io::error::missing_column_in_header& error) {
      user_error("{}: has no column '{}', expected a header with index and group", name_,
                 printable(error.column_name));
    } catch (const io::error::header_missing&) {
      user_error("{}: is empty, expected a header with the columns index and group", name_);
    } catch (const io::error::base& error) {
      user_error("{}: not valid CSV ({})", name_, printable(error.what(), 160));
    }
    check_complete();
    return std::move(said_);
  }

 private:
  void add(const char* index, const char* group, unsigned line) {
    const auto samples = static_cast<std::int64_t>(said_.size());
    std::int64_t number = -1;
    const char* const end = index + std::strlen(index);
    const auto [stop, failure] = std::from_chars(index, end, number);
    if (failure != std::errc() || stop != end || number < 0 || number >= samples) {
      user_error("{}: line {}: index '{}', expected a whole number of 0 to {} (the training file)", name_,
                 line, printable(index), samples - 1);
    }
    Said& said = said_[static_cast<std::size_t>(number)];
    if (said.line > 0)
      user_error("{}: line {}: sample {} already has a group, from line {}", name_, line, number, said.line);
    if (*group == '\0') user_error("{}: line {}: the group of sample {} has no name", name_, line, number);
    said = {group, line};
  }

  void check_complete() const {
    const auto lacking = [](const Said& said) { return said.line == 0; };
    const auto first = std::find_if(said_.begin(), said_.end(), lacking);
    if (first == said_.end()) return;
    user_error(
        "{}: sample {} has no group ({} samples lack one), expected a row for each of {} training samples",
        name_, first - said_.begin(), std::count_if(first, said_.end(), lacking), said_.size());
  }

  std::string name_;
  std::vector<Said> said_;
};

class Groups : public ImageSetView {
 public:
  Groups(std::shared_ptr<const ImageSet> set, const std::vector<Said>& said)
      : ImageSetView(std::move(set)), grouping_{"group", {}} {
    std::map<std::string, std::int64_t> places;  // by name, so that the order of the rows does not matter
    for (const Said& one : said) places.try_emplace(one.group);
    for (auto& [name, place] : places) {
      place = static_cast<std::int64_t>(grouping_.names.size());
      grouping_.names.push_back(name);
    }
    for (const Said& one : said) group_of_.push_back(places.at(one.group));
  }

  const Grouping* grouping() const override { return &grouping_; }
  std::int64_t group(std::int64_t index) const override { return group_of_[static_cast<std::size_t>(index)]; }

 private:
  Grouping grouping_;
  std::vector<std::int64_t> group_of_;
};

}  // namespace

std::shared_ptr<const ImageSet> with_groups(std::shared_ptr<const ImageSet> set,
                                            const std::filesystem::path& csv) {
  const std::vector<Said> said = GroupFile(csv.string(), set->size()).read();
  return std::make_shared<Groups>(std::move(set), said);
}

}  // namespace refnorm::data
