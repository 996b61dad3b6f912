#include <algorithm>
#include <cctype>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/recipe_fields.h>

namespace refnorm::experiment {
namespace {

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

std::string written(const std::string& value) {
  return quoted(value);
}
std::string written(bool value) {
  return value ? "true" : "false";
}
std::string written(std::int64_t value) {
  return std::to_string(value);
}
std::string written(double value) {
  // The fewest digits that give the same number back: 0.05, where toml++ writes 0.050000000000000003.
  const std::string text = fmt::format("{}", value);
  return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}
std::string written(const StepCount& value) {
  return value.percent > 0 ? quoted(fmt::format("{}%", value.percent)) : written(value.steps);
}
template <class Value>
std::string written(const std::vector<Value>& values) {
  std::string out = "[";
  for (std::size_t i = 0; i < values.size(); ++i) out += (i > 0 ? ", " : "") + written(values[i]);
  return out + "]";
}

std::string written(const std::vector<double>& values) {
  std::string out = "[";
  for (std::size_t i = 0; i < values.size(); ++i) out += (i > 0 ? ", " : "") + written(values[i]);
  return out + "]";
}

std::string inline_toml(const Json& value) {
  if (value.is_object()) {
    std::string out = "{";
    for (const auto& [key, inner] : value.items())
      out += (out.size() > 1 ? ", " : " ") + quoted(key) + " = " + inline_toml(inner);
    return out + " }";
  }
  if (value.is_array()) {
    std::string out = "[";
    for (const Json& inner : value) out += (out.size() > 1 ? ", " : "") + inline_toml(inner);
    return out + "]";
  }
  if (value.is_string()) return quoted(value.get<std::string>());
  if (value.is_number_float()) return written(value.get<double>());
  return value.dump();
}

}  // namespace

std::string to_toml(const Recipe& recipe) {
  std::string out;
  std::string section_now;
  visit_fields(recipe,
               [&](const std::string& section, const std::string& key, const auto& field, const Allowed&) {
                 if (section != section_now) {
                   out += "\n[" + section + "]\n";
                   section_now = section;
                 }
                 out += key + " = " + written(field) + "\n";
               });
  for (const ArmSettings& arm : recipe.arms) {
    out += "\n[[arm]]\nname = " + quoted(arm.name) + "\nnorm = " + quoted(arm.norm) + "\n";
    if (arm.lr) out += "lr = " + written(*arm.lr) + "\n";
    if (arm.weights) out += "weights = " + quoted(*arm.weights) + "\n";
  }
  if (!recipe.axes.empty()) out += "\n[sweep]\n";
  for (const Axis& axis : recipe.axes) out += axis.key + " = [" + join(axis.values, ", ") + "]\n";
  if (recipe.paper.is_object()) {
    out += "\n[paper]\n";
    for (const auto& [key, value] : recipe.paper.items())
      out += quoted(key) + " = " + inline_toml(value) + "\n";
  }
  return out;
}

std::vector<std::string> recipe_keys() {
  std::vector<std::string> keys;
  const Recipe defaults;
  visit_fields(defaults,
               [&](const std::string& section, const std::string& key, const auto& field, const Allowed&) {
                 keys.push_back((section.empty() ? key : section + "." + key) + " = " + written(field));
               });
  return keys;
}

std::int64_t StepCount::of(std::int64_t total) const {
  if (percent == 0) return steps;
  return std::max<std::int64_t>(1, std::llround(percent / 100 * static_cast<double>(total)));
}

std::string with_steps(const std::string& norm, std::int64_t steps) {
  std::string out;
  for (std::size_t at = 0; at < norm.size();) {
    const std::size_t end = norm.find_first_not_of("0123456789.", at);
    if (end == at || end == std::string::npos || norm[end] != '%') {
      out += norm[at++];
      continue;
    }
    const double share = std::stod(norm.substr(at, end - at)) / 100;
    out += std::to_string(std::llround(share * static_cast<double>(steps)));
    at = end + 1;
  }
  return out;
}

const ArmSettings& find_arm(const Recipe& recipe, const std::string& name) {
  if (name.empty() && recipe.arms.size() == 1) return recipe.arms.front();
  std::vector<std::string> names;
  for (const ArmSettings& arm : recipe.arms) {
    if (folder_name(arm.name) == folder_name(name)) return arm;
    names.push_back(arm.name);
  }
  if (name.empty())
    user_error("--arm: the recipe has {} arms, expected one of: {}", names.size(), join(names, ", "));
  user_error("--arm: '{}' is not an arm of the recipe{}", printable(name), suggestion(name, names));
}

std::string folder_name(const std::string& arm) {
  std::string out;
  for (const char c : arm)
    out += std::isalnum(static_cast<unsigned char>(c)) != 0
               ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
               : '-';
  return out;
}

}  // namespace refnorm::experiment
