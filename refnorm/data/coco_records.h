#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace refnorm::data {

// COCO's files are lists of flat objects, of which there are a million in one document. They are handed over
// one by one while the file is read, and nothing else of it is held.

/// What is looked at in an object; kSize and kCounts are within a segmentation.
enum class CocoField {
  kId,
  kImageId,
  kCategoryId,
  kHeight,
  kWidth,
  kFileName,
  kName,
  kBbox,
  kArea,
  kIsCrowd,
  kScore,
  kSegmentation,
  kSize,
  kCounts,
};
constexpr std::size_t kCocoFields = 14;

/// The name of a field in the file.
std::string_view coco_key(CocoField field);

struct CocoValue {
  /// kOther: a list of anything else, such as texts, or one nested deeper.
  enum class Kind { kMissing, kNull, kBool, kWhole, kNumber, kText, kNumbers, kLists, kObject, kOther };

  Kind kind = Kind::kMissing;
  std::int64_t whole = 0;         ///< kWhole; of kBool 0 or 1
  double number = 0;              ///< kWhole and kNumber
  std::string text;               ///< kText
  std::vector<double> numbers;    ///< kNumbers; kLists: those of all its lists, one behind the other
  std::vector<std::size_t> ends;  ///< kLists: where each list's end
  bool twice = false;             ///< the key stands more than once in the object
};

class CocoRecord {
 public:
  const CocoValue& operator[](CocoField field) const { return values_[static_cast<std::size_t>(field)]; }
  CocoValue& operator[](CocoField field) { return values_[static_cast<std::size_t>(field)]; }
  void clear();

 private:
  std::array<CocoValue, kCocoFields> values_;
};

/// Where the objects of a document are.
struct CocoLists {
  /// Keys of the document, an object, whose lists are read: they must be there. Empty: the document itself is
  /// the list.
  std::vector<std::string> names;
  /// Takes an object: the place of its list in `names`, and its place in the list, from 0.
  std::function<void(std::size_t, std::int64_t, const CocoRecord&)> use;
};

/// Throws UserError that names the file: it cannot be read, is not JSON, is nested more than 100 levels deep,
/// is of another kind, lacks a list or has one twice, or something in a list is not an object.
void read_coco_records(const std::filesystem::path& file, const CocoLists& lists);
void parse_coco_records(std::string_view text, const std::string& origin, const CocoLists& lists);

}  // namespace refnorm::data
