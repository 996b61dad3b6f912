#include <algorithm>
#include <cctype>
#include <sstream>
#include <vector>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/recipe_overrides.h>

namespace refnorm::experiment {
namespace {

/// A value as --set takes it: TOML, or else a text.
toml::table override_value(const std::string& text) {
  try {
    toml::table table = toml::parse("value = " + text);
    if (table.size() == 1) return table;  // else lines after the value brought keys of their own
  } catch (const toml::parse_error&) {
  }
  return toml::table{{"value", text}};
}

}  // namespace

std::string as_toml(const toml::node& node) {
  std::ostringstream out;
  out << toml::node_view<const toml::node>(node);
  return out.str();
}

std::string as_written(const toml::node& node) {
  return printable(as_toml(node));
}

bool apply_override(toml::table& root, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    user_error("--set {}: expected KEY=VALUE, such as train.epochs=1", printable(text));
  const std::string key = text.substr(0, equals);
  const std::vector<std::string> path = split(key, '.');
  toml::table* table = &root;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    toml::node* next = table->get(path[i]);
    if (next == nullptr) next = &table->insert(path[i], toml::table{}).first->second;
    if (toml::array* list = next->as_array()) {
      const std::string& word = path[++i];
      const bool digits =
          !word.empty() && word.size() < 6 &&
          std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
      if (!digits || static_cast<std::size_t>(std::stoul(word)) >= list->size()) {
        user_error("--set {}: '{}' is not one of the {} entries of {}, counted from 0", printable(text),
                   printable(word), list->size(), path[i - 1]);
      }
      next = list->get(std::stoul(word));
    }
    table = next->as_table();
    if (table == nullptr || i + 1 >= path.size())
      user_error("--set {}: '{}' does not hold keys", printable(text), printable(key));
  }
  const toml::table value = override_value(text.substr(equals + 1));
  const toml::node& fresh = *value.get("value");
  const toml::node* before = table->get(path.back());
  const bool changed = before == nullptr || as_written(*before) != as_written(fresh);
  table->insert_or_assign(path.back(), fresh);
  return changed;
}

}  // namespace refnorm::experiment
