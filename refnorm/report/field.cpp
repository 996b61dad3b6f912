#include <cmath>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/report/field.h>

namespace refnorm::report {
namespace {

std::string found(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_string())
    return fmt::format("the string '{}'", printable(value.get_ref<const std::string&>(), 30));
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number()) return fmt::format("the number {}", value.dump());
  return value.is_array() ? "an array" : "an object";
}

}  // namespace

void Field::fail_expecting(std::string_view what) const {
  fail_saying(fmt::format("expected {}, found {}", what, found(*value_)));
}

void Field::fail_saying(std::string_view what) const {
  if (path_.empty()) user_error("{}: {}", origin_, what);
  user_error("{}: {}: {}", origin_, path_, what);
}

Field Field::at(const std::string& key) const {
  if (!value_->is_object()) fail_expecting("an object");
  const std::string path = path_.empty() ? printable(key) : fmt::format("{}.{}", path_, printable(key));
  const auto member = value_->find(key);
  if (member == value_->end()) user_error("{}: {}: is missing", origin_, path);
  return {*member, origin_, path};
}

std::optional<Field> Field::find(const std::string& key) const {
  if (!value_->is_object()) fail_expecting("an object");
  const auto member = value_->find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return at(key);
}

Field Field::at(std::size_t index) const {
  if (!value_->is_array()) fail_expecting("an array");
  return {value_->at(index), origin_, fmt::format("{}[{}]", path_, index)};
}

std::size_t Field::array_size() const {
  if (!value_->is_array()) fail_expecting("an array");
  return value_->size();
}

const Json& Field::object() const {
  if (!value_->is_object()) fail_expecting("an object");
  return *value_;
}

std::string Field::text() const {
  if (!value_->is_string()) fail_expecting("a string");
  return value_->get<std::string>();
}

std::string Field::name() const {
  std::string words = text();
  if (words.find_first_not_of(" \t\r\n") == std::string::npos) fail_saying("expected a name, found nothing");
  return words;
}

bool Field::boolean() const {
  if (!value_->is_boolean()) fail_expecting("true or false");
  return value_->get<bool>();
}

std::uint64_t Field::count() const {
  // The library keeps 5 as signed or unsigned by where it came from, not by what it is.
  const bool negative =
      !value_->is_number_unsigned() && value_->is_number_integer() && value_->get<std::int64_t>() < 0;
  if (!value_->is_number_integer() || negative) fail_expecting("an integer from 0 on");
  return value_->get<std::uint64_t>();
}

double Field::number(double low, double high) const {
  const double value = value_->is_number() ? value_->get<double>() : std::nan("");
  if (!(value >= low && value <= high)) fail_expecting(fmt::format("a number from {} to {}", low, high));
  return value;
}

std::optional<double> Field::number_or_null(double low, double high) const {
  if (value_->is_null()) return std::nullopt;
  return number(low, high);
}

}  // namespace refnorm::report
