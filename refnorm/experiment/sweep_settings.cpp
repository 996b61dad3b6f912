#include <set>

#include <fmt/format.h>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/experiment/sweep_settings.h>

namespace refnorm::experiment {

Json json_of(const std::string& toml_value) {
  const std::string bare = toml_value.starts_with('\'')
                               ? fmt::format("\"{}\"", toml_value.substr(1, toml_value.size() - 2))
                               : toml_value;
  const Json value = Json::parse(bare, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? Json(toml_value) : value;
}

std::string setup_name(const std::string& key) {
  const std::size_t dot = key.find('.');
  const std::string name = key.substr(dot + 1);
  return name == "kind" ? key.substr(0, dot) : name;
}

namespace {

std::string plain(const std::string& toml_value) {
  const Json value = json_of(toml_value);
  return value.is_string() ? value.get<std::string>() : toml_value;
}

}  // namespace

std::vector<SweepSetting> settings_of(const Recipe& recipe, const std::filesystem::path& folder) {
  std::vector<SweepSetting> settings(1);
  for (const Axis& axis : recipe.axes) {
    std::vector<SweepSetting> longer;
    for (const SweepSetting& begun : settings) {
      for (const std::string& value : axis.values) {
        longer.push_back(begun);
        longer.back().values.emplace_back(axis.key, value);
      }
    }
    settings = std::move(longer);
  }
  std::set<std::string> names;
  for (SweepSetting& setting : settings) {
    std::vector<std::string> words;
    for (const auto& [key, value] : setting.values) words.push_back(folder_name(plain(value)));
    const std::string name = words.empty() ? "all" : join(words, "_");
    if (!names.insert(name).second)
      user_error("{}: two settings of the sweep are called '{}' (case and punctuation do not count)",
                 recipe.name, name);
    setting.folder = folder / name;
    setting.recipe = with_values(recipe, setting.values);
  }
  return settings;
}

}  // namespace refnorm::experiment
