#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include <refnorm/base/error.h>
#include <refnorm/base/file_reader.h>
#include <refnorm/base/json.h>
#include <refnorm/base/text.h>
#include <refnorm/data/coco_records.h>

namespace refnorm::data {
namespace {

constexpr int kDeepest = 100;
constexpr std::array<std::string_view, kCocoFields> kKeys{
    "id",   "image_id", "category_id", "height", "width",        "file_name", "name",
    "bbox", "area",     "iscrowd",     "score",  "segmentation", "size",      "counts"};

std::optional<CocoField> field_of(std::string_view key, bool in_segmentation) {
  const auto found = std::find(kKeys.begin(), kKeys.end(), key);
  if (found == kKeys.end()) return std::nullopt;
  const auto field = static_cast<CocoField>(found - kKeys.begin());
  const bool inner = field == CocoField::kSize || field == CocoField::kCounts;
  return inner == in_segmentation ? std::optional(field) : std::nullopt;
}

/// Bytes in memory, or of a file, a block at a time.
class ByteSource {
 public:
  explicit ByteSource(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}
  explicit ByteSource(FileReader& file) : file_(&file), block_(std::size_t{1} << 20) { refill(); }

  char get() const { return *at_; }
  bool ended() const { return at_ == end_; }
  void pass() {
    if (++at_ == end_ && file_ != nullptr) refill();
  }

 private:
  void refill() {
    at_ = block_.data();
    end_ = at_ + file_->read(block_);
  }

  FileReader* file_ = nullptr;
  std::vector<char> block_;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
};

/// What the parser of JSON reads from. All copies are at one place; equal are only those at the end.
class ByteIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  explicit ByteIterator(ByteSource* source = nullptr) : source_(source) {}
  char operator*() const { return source_->get(); }
  ByteIterator& operator++() {
    source_->pass();
    return *this;
  }
  bool operator!=(const ByteIterator&) const { return !source_->ended(); }

 private:
  ByteSource* source_;
};

/// Fills a record with each object of the lists. Depths: of a document that is an object, its lists are at 2,
/// their objects at 3 and values at 4 and below; of one that is a list, one less.
class Reader : public nlohmann::json_sax<SortedJson> {
 public:
  Reader(const std::string& origin, const CocoLists& lists)
      : origin_(origin), lists_(lists), of_object_(lists.names.empty() ? 1 : 2), read_(lists.names.size()) {}

  void finish() const {
    for (std::size_t i = 0; i < read_.size(); ++i) {
      if (!read_[i]) user_error("{}: has no list '{}'", origin_, lists_.names[i]);
    }
  }

  bool null() override {
    return scalar([](CocoValue& value) { value.kind = CocoValue::Kind::kNull; });
  }
  bool boolean(bool given) override {
    return scalar([&](CocoValue& value) {
      value.kind = CocoValue::Kind::kBool;
      value.whole = given ? 1 : 0;
    });
  }
  bool number_integer(number_integer_t given) override { return whole(given); }
  bool number_unsigned(number_unsigned_t given) override {
    constexpr auto kMost = static_cast<number_unsigned_t>(INT64_MAX);
    return given <= kMost ? whole(static_cast<std::int64_t>(given)) : number(static_cast<double>(given));
  }
  bool number_float(number_float_t given, const string_t&) override { return number(given); }
  bool string(string_t& given) override {
    return scalar([&](CocoValue& value) {
      value.kind = CocoValue::Kind::kText;
      value.text.swap(given);
    });
  }
  bool binary(binary_t&) override { return true; }

  bool start_object(std::size_t) override {
    if (depth_ == 0 && lists_.names.empty()) user_error("{}: is an object, expected a list", origin_);
    if (depth_ == of_object_ - 1 && of_object_ == 2 && list_) wrong_list();
    enter();
    if (depth_ == of_object_ + 1 && list_) {
      record_.clear();
      value_ = nullptr;
    } else if (value_ != nullptr) {
      if (depth_ == of_object_ + 2 && value_ == &record_[CocoField::kSegmentation]) {
        value_->kind = CocoValue::Kind::kObject;
        in_segmentation_ = true;
      } else {
        value_->kind = CocoValue::Kind::kOther;
      }
    }
    return true;
  }

  bool end_object() override {
    if (depth_ == of_object_ + 1 && list_) lists_.use(*list_, place_++, record_);
    if (depth_ == of_object_ + 2) in_segmentation_ = false;
    --depth_;
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth_ == 0 && !lists_.names.empty()) user_error("{}: is a list, expected an object", origin_);
    enter();
    if (depth_ == of_object_) {
      if (of_object_ == 1) list_ = 0;
      place_ = 0;
    } else if (list_ && depth_ == of_object_ + 1) {
      not_an_object();
    } else if (value_ != nullptr) {
      start_numbers();
    }
    return true;
  }

  bool end_array() override {
    if (value_ != nullptr && value_->kind == CocoValue::Kind::kLists && depth_ == value_depth() + 2)
      value_->ends.push_back(value_->numbers.size());
    if (depth_ == of_object_) list_.reset();
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (of_object_ == 2 && depth_ == 1) {
      find_list(name);
    } else if (list_ && depth_ == value_depth()) {
      const std::optional<CocoField> field = field_of(name, in_segmentation_);
      value_ = field ? &record_[*field] : nullptr;
      if (value_ != nullptr && value_->kind != CocoValue::Kind::kMissing) value_->twice = true;
    }
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const SortedJson::out_of_range*>(&error) != nullptr)
      user_error("{}: a number is too large at byte {}", origin_, byte);
    user_error("{}: not valid JSON at byte {}", origin_, byte);
  }

 private:
  void enter() {
    if (++depth_ > kDeepest) user_error("{}: nested more than {} levels deep", origin_, kDeepest);
  }

  /// Of the object that the current value stands in.
  int value_depth() const { return of_object_ + (in_segmentation_ ? 2 : 1); }

  void find_list(const std::string& name) {
    const auto found = std::find(lists_.names.begin(), lists_.names.end(), name);
    list_.reset();
    value_ = nullptr;
    if (found == lists_.names.end()) return;
    list_ = static_cast<std::size_t>(found - lists_.names.begin());
    if (read_[*list_]) user_error("{}: the list '{}' stands twice", origin_, name);
    read_[*list_] = true;
  }

  void start_numbers() {
    const int within = depth_ - value_depth();
    const bool first = within == 1;
    const bool second =
        within == 2 && (value_->kind == CocoValue::Kind::kLists ||
                        (value_->kind == CocoValue::Kind::kNumbers && value_->numbers.empty()));
    if (first) {
      value_->kind = CocoValue::Kind::kNumbers;
      value_->numbers.clear();
      value_->ends.clear();
    } else {
      value_->kind = second ? CocoValue::Kind::kLists : CocoValue::Kind::kOther;
    }
  }

  [[noreturn]] void wrong_list() const {
    user_error("{}: '{}' is not a list", origin_, lists_.names[*list_]);
  }

  [[noreturn]] void not_an_object() const {
    user_error("{}: entry {}{} is not an object", origin_, place_ + 1,
               lists_.names.empty() ? "" : " of '" + lists_.names[*list_] + "'");
  }

  bool whole(std::int64_t given) {
    if (append(static_cast<double>(given))) return true;
    return scalar([&](CocoValue& value) {
      value.kind = CocoValue::Kind::kWhole;
      value.whole = given;
      value.number = static_cast<double>(given);
    });
  }

  bool number(double given) {
    if (append(given)) return true;
    return scalar([&](CocoValue& value) {
      value.kind = CocoValue::Kind::kNumber;
      value.number = given;
    });
  }

  /// A number within a list.
  bool append(double given) {
    if (value_ == nullptr) return false;
    const int within = depth_ - value_depth();
    const CocoValue::Kind kind = within == 1 ? CocoValue::Kind::kNumbers : CocoValue::Kind::kLists;
    if ((within != 1 && within != 2) || value_->kind != kind) return false;
    value_->numbers.push_back(given);
    return true;
  }

  template <class Set>
  bool scalar(const Set& set) {
    if (depth_ == 0) user_error("{}: is neither an object nor a list", origin_);
    if (list_ && depth_ == of_object_ - 1) wrong_list();
    if (list_ && depth_ == of_object_) not_an_object();
    if (value_ == nullptr) return true;
    if (depth_ == value_depth()) {
      set(*value_);
    } else {
      value_->kind = CocoValue::Kind::kOther;
    }
    return true;
  }

  const std::string& origin_;
  const CocoLists& lists_;
  const int of_object_;  ///< the depth within a list, where its objects stand
  std::vector<bool> read_;
  int depth_ = 0;
  std::optional<std::size_t> list_;  ///< the one that is being read
  std::int64_t place_ = 0;           ///< in it
  bool in_segmentation_ = false;
  CocoRecord record_;
  CocoValue* value_ = nullptr;  ///< of the record; nullptr where the value is not looked at
};

void read_from(ByteSource& source, const std::string& origin, const CocoLists& lists) {
  Reader reader(origin, lists);
  SortedJson::sax_parse(ByteIterator(&source), ByteIterator(), &reader);
  reader.finish();
}

}  // namespace

std::string_view coco_key(CocoField field) {
  return kKeys[static_cast<std::size_t>(field)];
}

void CocoRecord::clear() {
  for (CocoValue& value : values_) {
    value.kind = CocoValue::Kind::kMissing;
    value.twice = false;
    value.numbers.clear();
    value.ends.clear();
  }
}

void read_coco_records(const std::filesystem::path& file, const CocoLists& lists) {
  FileReader reader(file);
  ByteSource source(reader);
  read_from(source, file.string(), lists);
}

void parse_coco_records(std::string_view text, const std::string& origin, const CocoLists& lists) {
  ByteSource source(text);
  read_from(source, origin, lists);
}

}  // namespace refnorm::data
