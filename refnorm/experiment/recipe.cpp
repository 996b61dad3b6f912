#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <sstream>

#include <refnorm/base/error.h>
#include <refnorm/base/file.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/recipe_fields.h>
#include <refnorm/experiment/recipe_overrides.h>
#include <refnorm/norms/norm_spec.h>

namespace refnorm::experiment {
namespace {

std::string dotted(const std::string& section, const std::string& key) {
  return section.empty() ? key : section + "." + key;
}

/// Puts values of a parsed file into fields. `where` names the file.
class Reader {
 public:
  explicit Reader(std::string where) : where_(std::move(where)) {}

  void read(const std::string& key, const toml::node& node, std::string& field,
            const Allowed& allowed) const {
    const auto value = node.value_exact<std::string>();
    if (!value) wrong(key, node, "a text");
    if (!allowed.words.empty() &&
        std::find(allowed.words.begin(), allowed.words.end(), *value) == allowed.words.end()) {
      user_error("{}: {} is '{}', expected one of: {}", where_, key, printable(*value),
                 join(allowed.words, ", "));
    }
    field = *value;
  }
  void read(const std::string& key, const toml::node& node, bool& field, const Allowed&) const {
    const auto value = node.value_exact<bool>();
    if (!value) wrong(key, node, "true or false");
    field = *value;
  }
  void read(const std::string& key, const toml::node& node, std::int64_t& field,
            const Allowed& allowed) const {
    const auto value = node.value_exact<std::int64_t>();
    if (!value) wrong(key, node, "a whole number");
    check_range(key, static_cast<double>(*value), allowed);
    field = *value;
  }
  void read(const std::string& key, const toml::node& node, double& field, const Allowed& allowed) const {
    if (!node.is_number()) wrong(key, node, "a number");
    const double value = *node.value<double>();
    if (!std::isfinite(value)) wrong(key, node, "a finite number");
    check_range(key, value, allowed);
    field = value;
  }
  void read(const std::string& key, const toml::node& node, std::vector<std::int64_t>& field,
            const Allowed& allowed) const {
    const toml::array* list = node.as_array();
    if (list == nullptr) wrong(key, node, "a list of whole numbers");
    field.clear();
    for (const toml::node& entry : *list) read(key, entry, field.emplace_back(), allowed);
    if (!std::is_sorted(field.begin(), field.end())) user_error("{}: {} must rise", where_, key);
  }
  void read(const std::string& key, const toml::node& node, std::vector<double>& field,
            const Allowed& allowed) const {
    const toml::array* list = node.as_array();
    if (list == nullptr) wrong(key, node, "a list of numbers");
    field.clear();
    for (const toml::node& entry : *list) read(key, entry, field.emplace_back(), allowed);
  }
  void read(const std::string& key, const toml::node& node, std::vector<std::string>& field,
            const Allowed& allowed) const {
    const toml::array* list = node.as_array();
    if (list == nullptr) wrong(key, node, "a list of texts");
    field.clear();
    for (const toml::node& entry : *list) read(key, entry, field.emplace_back(), allowed);
  }

  void read(const std::string& key, const toml::node& node, StepCount& field, const Allowed& allowed) const {
    field = {};
    if (node.is_integer()) return read(key, node, field.steps, allowed);
    const std::string text = node.value_or(std::string());
    const char* last = text.data() + text.size() - (text.ends_with('%') ? 1 : 0);
    const bool number = std::from_chars(text.data(), last, field.percent).ptr == last;
    if (!text.ends_with('%') || !number || !(field.percent > 0 && field.percent <= 100))
      wrong(key, node, "a whole number of steps, or a share of the run's such as \"10%\"");
  }

  [[noreturn]] void wrong(const std::string& key, const toml::node& node, const char* expected) const {
    user_error("{}: {} is {}, expected {}", where_, key, as_written(node), expected);
  }

 private:
  void check_range(const std::string& key, double value, const Allowed& allowed) const {
    if (value >= allowed.low && value <= allowed.high) return;
    if (std::isinf(allowed.high))
      user_error("{}: {} is {}, expected at least {}", where_, key, value, allowed.low);
    user_error("{}: {} is {}, expected {} to {}", where_, key, value, allowed.low, allowed.high);
  }

  std::string where_;
};

void read_fields(const toml::table& table, Recipe& recipe, const std::string& where) {
  const Reader reader(where);
  std::set<std::string> sections{"arm", "paper", "sweep"};
  std::set<std::string> known;
  visit_fields(recipe,
               [&](const std::string& section, const std::string& key, auto& field, const Allowed& allowed) {
                 sections.insert(section.empty() ? key : section);
                 known.insert(dotted(section, key));
                 const toml::node* node = section.empty() ? table.get(key) : nullptr;
                 if (!section.empty() && table.get(section) != nullptr) {
                   const toml::table* inner = table.get(section)->as_table();
                   if (inner == nullptr)
                     user_error("{}: {} is {}, expected a table, [{}]", where, section,
                                as_written(*table.get(section)), section);
                   node = inner->get(key);
                 }
                 if (node != nullptr) reader.read(dotted(section, key), *node, field, allowed);
               });
  const auto reject = [&](const std::string& key, const std::set<std::string>& candidates) {
    user_error("{}: '{}' is not a key of a recipe{}", where, printable(key),
               suggestion(key, {candidates.begin(), candidates.end()}));
  };
  for (const auto& [key, node] : table) {
    const std::string section(key.str());
    if (!sections.contains(section)) reject(section, sections);
    if (section == "paper" || section == "sweep" || !node.is_table()) continue;
    for (const auto& [inner, unused] : *node.as_table()) {
      const std::string name = dotted(section, std::string(inner.str()));
      if (!known.contains(name)) reject(name, known);
    }
  }
  const std::string& kind = recipe.model.kind;
  if (!recipe.model.zero_init_residual && !kind.starts_with("resnet") && !kind.starts_with("mask_rcnn"))
    user_error("{}: model.zero_init_residual is of networks with residual blocks, {} has none", where,
               printable(kind));
}

/// A spec's text, or the same as a table.
void read_norm(const Reader& reader, const std::string& where, const std::string& at, const toml::node& value,
               std::string& norm) {
  if (!value.is_table()) return reader.read(at + ".norm", value, norm, {});
  toml::table fields = *value.as_table();
  fields.is_inline(true);
  std::ostringstream text;
  text << toml::table{{"norm", std::move(fields)}};
  try {
    norm = NormSpec::from_toml(text.str().substr(std::string("norm = ").size())).to_string();
  } catch (const UserError& error) {
    user_error("{}: {}: {}", where, at, error.what());
  }
}

void read_arms(const toml::table& table, Recipe& recipe, const std::string& where) {
  const toml::node* node = table.get("arm");
  const toml::array* list = node != nullptr ? node->as_array() : nullptr;
  if (list == nullptr || list->empty())
    user_error("{}: no arm, expected at least one [[arm]] with name and norm", where);
  const Reader reader(where);
  std::set<std::string> folders;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string at = "arm." + std::to_string(i);
    const toml::table* entry = list->get(i)->as_table();
    if (entry == nullptr) user_error("{}: {} is not a table, expected [[arm]]", where, at);
    ArmSettings arm;
    for (const auto& [key, value] : *entry) {
      const std::string name(key.str());
      if (name == "name") {
        reader.read(at + ".name", value, arm.name, {});
      } else if (name == "norm") {
        read_norm(reader, where, at, value, arm.norm);
      } else if (name == "lr") {
        reader.read(at + ".lr", value, arm.lr.emplace(), at_least(0));
      } else if (name == "weights") {
        reader.read(at + ".weights", value, arm.weights.emplace(), {});
      } else {
        user_error("{}: '{}.{}' is not a key of a recipe{}", where, at, printable(name),
                   suggestion(name, {"name", "norm", "lr", "weights"}));
      }
    }
    if (arm.norm.empty()) user_error("{}: {} has no norm, expected such as norm = \"rbn\"", where, at);
    try {
      const bool in_shares = arm.norm.find('%') != std::string::npos;
      const std::string norm = NormSpec::parse(with_steps(arm.norm, 100)).to_string();
      if (!in_shares) arm.norm = norm;
    } catch (const UserError& error) {
      user_error("{}: {}: {}", where, at, error.what());
    }
    if (arm.name.empty()) arm.name = arm.norm;
    if (!folders.insert(folder_name(arm.name)).second) {
      user_error("{}: two arms are called '{}' (case and punctuation do not count)", where,
                 printable(arm.name));
    }
    recipe.arms.push_back(arm);
  }
}

/// toml++ keeps keys sorted; the file's order is that of their positions.
std::vector<std::string> keys_in_order(const toml::table& table) {
  std::vector<std::pair<toml::source_position, std::string>> order;
  for (const auto& [key, value] : table) order.emplace_back(key.source().begin, key.str());
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> keys;
  for (const auto& [position, key] : order) keys.push_back(key);
  return keys;
}

/// [sweep]: tables within it are sections, as sampler.kind = ["iid", "pk:2"] makes one.
void read_axes(const toml::table& table, const std::string& where, const std::string& prefix,
               std::vector<Axis>& axes) {
  for (const std::string& name : keys_in_order(table)) {
    const toml::node& node = *table.get(name);
    const std::string key = dotted(prefix, name);
    if (const toml::table* inner = node.as_table()) {
      read_axes(*inner, where, key, axes);
      continue;
    }
    const toml::array* list = node.as_array();
    if (list == nullptr || list->empty())
      user_error("{}: sweep.{} is {}, expected a list of at least one value", where, key, as_written(node));
    Axis axis{key, {}};
    for (const toml::node& value : *list) axis.values.push_back(as_toml(value));
    axes.push_back(axis);
  }
}

Json to_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const std::string& key : keys_in_order(*table)) object[key] = to_json(*table->get(key));
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const toml::node& entry : *array) list.push_back(to_json(entry));
    return list;
  }
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto whole = node.value_exact<std::int64_t>()) return *whole;
  if (const auto number = node.value_exact<double>()) return *number;
  if (const auto truth = node.value_exact<bool>()) return *truth;
  return as_written(node);
}

toml::table parse_toml(const std::string& text, const std::string& where) {
  try {
    return toml::parse(text, where);
  } catch (const toml::parse_error& error) {
    user_error("{}: line {}: not valid TOML ({})", where, error.source().begin.line,
               printable(error.description(), 160));
  }
}

}  // namespace

Recipe with_values(const Recipe& recipe, const std::vector<std::pair<std::string, std::string>>& values) {
  Recipe plain = recipe;
  plain.axes.clear();
  toml::table table = toml::parse(to_toml(plain));
  for (const auto& [key, value] : values) apply_override(table, key + "=" + value);
  Recipe changed;
  read_fields(table, changed, "sweep");
  read_arms(table, changed, "sweep");
  changed.paper = recipe.paper;
  return changed;
}

Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const std::string where = file.string();
  toml::table table = parse_toml(read_file(file), where);
  std::vector<std::string> changes;
  for (const std::string& text : overrides) {
    if (apply_override(table, text) && !text.starts_with("run.") && !text.starts_with("data.path=") &&
        !text.starts_with("data.workers=") && !text.starts_with("note=")) {
      changes.push_back(text);
    }
  }
  Recipe recipe;
  recipe.name = file.stem().string();
  read_fields(table, recipe, where);
  read_arms(table, recipe, where);
  if (const toml::node* sweep = table.get("sweep")) {
    if (sweep->as_table() == nullptr)
      user_error("{}: sweep is {}, expected a table, [sweep]", where, as_written(*sweep));
    read_axes(*sweep->as_table(), where, "", recipe.axes);
  }
  if (const toml::node* paper = table.get("paper")) recipe.paper = to_json(*paper);
  if (!changes.empty()) {
    recipe.note +=
        (recipe.note.empty() ? "" : "; ") + std::string("changed from the recipe: ") + join(changes, ", ");
  }
  return recipe;
}

}  // namespace refnorm::experiment
