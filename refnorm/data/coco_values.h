#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <refnorm/base/error.h>
#include <refnorm/base/rle.h>
#include <refnorm/data/coco_records.h>

namespace refnorm::data {

// The values of a record, checked. All throw UserError of the form "ENTRY: what is wrong", where `entry` says
// which record it is.

/// Checks that the value is there, once.
const CocoValue& required(const CocoRecord& record, CocoField field, const std::string& entry);

std::int64_t whole_number(const CocoRecord& record, CocoField field, const std::string& entry);
double number(const CocoRecord& record, CocoField field, const std::string& entry);
std::string text(const CocoRecord& record, CocoField field, const std::string& entry);
/// Four numbers, sizes of at least 0.
Xywh box(const CocoRecord& record, const std::string& entry);
/// A segmentation that is an object: sizes and counts, compressed or not.
Rle rle(const CocoRecord& record, const std::string& entry);

}  // namespace refnorm::data
