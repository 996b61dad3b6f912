#include <cmath>
#include <vector>

#include <refnorm/data/coco_values.h>

namespace refnorm::data {
namespace {

using Kind = CocoValue::Kind;

/// A number of a list as a whole one.
std::int64_t whole(double value, const char* what, const std::string& entry) {
  constexpr double kMost = 0x1p53;
  if (value != std::floor(value) || std::abs(value) > kMost)
    user_error("{}: {} has {}, expected whole numbers", entry, what, value);
  return static_cast<std::int64_t>(value);
}

}  // namespace

const CocoValue& required(const CocoRecord& record, CocoField field, const std::string& entry) {
  const CocoValue& value = record[field];
  if (value.kind == Kind::kMissing) user_error("{}: has no '{}'", entry, coco_key(field));
  if (value.twice) user_error("{}: has '{}' twice", entry, coco_key(field));
  return value;
}

std::int64_t whole_number(const CocoRecord& record, CocoField field, const std::string& entry) {
  const CocoValue& value = required(record, field, entry);
  if (value.kind != Kind::kWhole) user_error("{}: '{}' is not a whole number", entry, coco_key(field));
  return value.whole;
}

double number(const CocoRecord& record, CocoField field, const std::string& entry) {
  const CocoValue& value = required(record, field, entry);
  if (value.kind != Kind::kWhole && value.kind != Kind::kNumber)
    user_error("{}: '{}' is not a number", entry, coco_key(field));
  return value.number;
}

std::string text(const CocoRecord& record, CocoField field, const std::string& entry) {
  const CocoValue& value = required(record, field, entry);
  if (value.kind != Kind::kText) user_error("{}: '{}' is not a text", entry, coco_key(field));
  return value.text;
}

Xywh box(const CocoRecord& record, const std::string& entry) {
  const CocoValue& value = required(record, CocoField::kBbox, entry);
  if (value.kind != Kind::kNumbers || value.numbers.size() != 4)
    user_error("{}: 'bbox' is not a list of four numbers", entry);
  const std::vector<double>& of = value.numbers;
  if (of[2] < 0 || of[3] < 0) user_error("{}: its box is {} wide and {} high", entry, of[2], of[3]);
  // So that sums and products of two are numbers, too.
  constexpr double kLargest = 1e15;
  for (const double part : of) {
    if (!(std::abs(part) <= kLargest)) user_error("{}: its box has {}, beyond any picture", entry, part);
  }
  return {of[0], of[1], of[2], of[3]};
}

Rle rle(const CocoRecord& record, const std::string& entry) {
  const CocoValue& size = required(record, CocoField::kSize, entry);
  if (size.kind != Kind::kNumbers || size.numbers.size() != 2)
    user_error("{}: the 'size' of its RLE is not a list of two numbers", entry);
  const std::int64_t height = whole(size.numbers[0], "the 'size' of its RLE", entry);
  const std::int64_t width = whole(size.numbers[1], "the 'size' of its RLE", entry);
  const CocoValue& counts = required(record, CocoField::kCounts, entry);
  if (counts.kind == Kind::kText) return rle_from_text(counts.text, height, width, entry);
  if (counts.kind != Kind::kNumbers)
    user_error("{}: the 'counts' of its RLE are neither a text nor a list of numbers", entry);
  std::vector<std::int64_t> runs;
  runs.reserve(counts.numbers.size());
  for (const double count : counts.numbers) runs.push_back(whole(count, "the RLE", entry));
  return rle_from_counts(runs, height, width, entry);
}

}  // namespace refnorm::data
