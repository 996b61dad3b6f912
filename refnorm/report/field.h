#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <refnorm/base/json.h>

namespace refnorm::report {

/// A place in a JSON document that came from outside. Whatever is missing or of the wrong kind is a UserError
/// of one line: `FILE: arms[0].runs[2].seed: expected an integer, found null`. Refers to the document, which
/// must outlive it.
class Field {
 public:
  Field(const Json& value, std::string origin) : value_(&value), origin_(std::move(origin)) {}

  /// A member of an object, which must be there (null is there).
  Field at(const std::string& key) const;
  /// A member of an object, or nothing where it is missing or null.
  std::optional<Field> find(const std::string& key) const;
  /// An element of an array.
  Field at(std::size_t index) const;

  bool is_null() const { return value_->is_null(); }
  const Json& json() const { return *value_; }
  std::size_t array_size() const;
  const Json& object() const;
  std::string text() const;
  /// Text with something in it besides white space.
  std::string name() const;
  bool boolean() const;
  /// From 0 on.
  std::uint64_t count() const;
  double number(double low, double high) const;
  std::optional<double> number_or_null(double low, double high) const;
  std::optional<double> percent_or_null() const { return number_or_null(0, 100); }
  double percent() const { return number(0, 100); }

  [[noreturn]] void fail_expecting(std::string_view what) const;
  [[noreturn]] void fail_saying(std::string_view what) const;

 private:
  Field(const Json& value, std::string origin, std::string path)
      : value_(&value), origin_(std::move(origin)), path_(std::move(path)) {}

  const Json* value_;
  std::string origin_;
  std::string path_;
};

}  // namespace refnorm::report
