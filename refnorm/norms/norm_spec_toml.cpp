#include <sstream>

#include <toml++/toml.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/norms/norm_spec.h>

namespace refnorm {
namespace {

/// A value as it stands in a spec's text.
std::string text_of(const toml::node& value) {
  if (const auto text = value.value_exact<std::string>()) return *text;
  std::ostringstream out;
  value.visit([&](const auto& inner) { out << inner; });
  return out.str();
}

bool is_number(const std::string& text) {
  try {
    const toml::table parsed = toml::parse("v = " + text);
    return parsed["v"].is_number();
  } catch (const toml::parse_error&) {
    return false;
  }
}

}  // namespace

NormSpec NormSpec::from_toml(std::string_view table) {
  toml::table document;
  try {
    document = toml::parse("norm = " + std::string(table));
  } catch (const toml::parse_error& failure) {
    user_error("norm: '{}' is no TOML table: {}", printable(table), failure.description());
  }
  const toml::table* fields = document["norm"].as_table();
  if (fields == nullptr || document.size() != 1) {
    user_error("norm: '{}' is no TOML table, expected such as {{ kind = \"rbn\", weight = 0.1 }}",
               printable(table));
  }
  const auto kind = (*fields)["kind"].value_exact<std::string>();
  if (!kind) user_error("norm: the table has no kind, expected such as {{ kind = \"rbn\", weight = 0.1 }}");
  NormSpec spec{*kind, {}};
  for (const auto& [key, value] : *fields) {
    const std::string name(key.str());
    if (name == "kind") continue;
    if (value.is_table() || value.is_array()) {
      user_error("norm: {}: '{}' is a list or a table, expected one value", printable(spec.kind),
                 printable(name));
    }
    const auto flag = value.value_exact<bool>();
    if (flag && !*flag) continue;
    spec.options.emplace_back(name, flag ? "" : text_of(value));
  }
  spec.check();
  return spec;
}

std::string NormSpec::to_toml() const {
  check();  // so that all words are plain, without a quote to escape
  std::string text = "{ kind = \"" + kind + "\"";
  for (const auto& [name, value] : options) {
    text += ", " + name + " = " + (value.empty() ? "true" : is_number(value) ? value : "\"" + value + "\"");
  }
  return text + " }";
}

const std::string* NormSpec::find(std::string_view option) const {
  for (const auto& [name, value] : options) {
    if (name == option) return &value;
  }
  return nullptr;
}

}  // namespace refnorm
