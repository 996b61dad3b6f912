#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/paired.h>
#include <refnorm/report/sweep_result.h>

namespace refnorm::report {
namespace {

constexpr double kLargest = 1e12;  // more seconds than any sweep takes, a larger learning rate than any

// A value of the recipe, as it reads there.
std::string value_text(const Field& field) {
  const Json& value = field.json();
  if (value.is_string()) return field.name();
  if (!value.is_number() && !value.is_boolean()) field.fail_expecting("a string, a number, true or false");
  return value.dump();
}

SweepAxis parse_axis(const Field& field) {
  SweepAxis axis{field.at("key").name(), {}};
  const Field values = field.at("values");
  if (values.array_size() == 0) values.fail_saying("expected at least one value");
  for (std::size_t i = 0; i < values.array_size(); ++i) {
    const std::string value = value_text(values.at(i));
    if (std::find(axis.values.begin(), axis.values.end(), value) != axis.values.end())
      values.at(i).fail_saying("the value stands twice");
    axis.values.push_back(value);
  }
  return axis;
}

std::vector<SweepAxis> parse_axes(const Field& field) {
  std::vector<SweepAxis> axes;
  for (std::size_t i = 0; i < field.array_size(); ++i) {
    axes.push_back(parse_axis(field.at(i)));
    const bool twice = std::any_of(axes.begin(), axes.end() - 1,
                                   [&](const SweepAxis& axis) { return axis.key == axes.back().key; });
    if (twice) field.at(i).at("key").fail_saying("two axes have this key");
  }
  return axes;
}

Tuned parse_tuned(const Field& field) {
  Tuned tuned{field.at("key").name(), {}, {}, field.at("rule").text()};
  const Field values = field.at("values");
  for (std::size_t i = 0; i < values.array_size(); ++i)
    tuned.values.push_back(values.at(i).number(0, kLargest));
  const Field seeds = field.at("seeds");
  for (std::size_t i = 0; i < seeds.array_size(); ++i) tuned.seeds.push_back(seeds.at(i).count());
  return tuned;
}

Rate parse_rate(const Field& arm) {
  Rate rate;
  if (const auto chosen = arm.find("lr")) rate.chosen = chosen->number(0, kLargest);
  const auto tuning = arm.find("tuning");
  for (std::size_t i = 0; tuning && i < tuning->array_size(); ++i) {
    const Field trial = tuning->at(i);
    rate.tried.push_back(
        {trial.at("value").number(0, kLargest), trial.at("validation_error_pct").percent_or_null()});
  }
  return rate;
}

std::vector<std::size_t> parse_places(const Field& values, const std::vector<SweepAxis>& axes) {
  for (const auto& member : values.object().items()) {
    const bool known = std::any_of(axes.begin(), axes.end(),
                                   [&](const SweepAxis& axis) { return axis.key == member.key(); });
    if (!known) values.at(member.key()).fail_saying("no axis has this key");
  }
  std::vector<std::size_t> places;
  for (const SweepAxis& axis : axes) {
    const Field value = values.at(axis.key);
    const auto found = std::find(axis.values.begin(), axis.values.end(), value_text(value));
    if (found == axis.values.end()) {
      value.fail_expecting(fmt::format("one of the axis's values: {}", printable(join(axis.values, ", "))));
    }
    places.push_back(static_cast<std::size_t>(found - axis.values.begin()));
  }
  return places;
}

Setting parse_setting(const Field& field, const std::vector<SweepAxis>& axes) {
  Setting setting;
  setting.places = parse_places(field.at("values"), axes);
  setting.folder = parse_folder(field.at("folder"));
  if (const auto divergence = field.find("label_divergence_bits"))
    setting.divergence = divergence->number(0, 64);
  const Field arms = field.at("arms");
  setting.arms = parse_arms(arms);
  for (std::size_t i = 0; i < setting.arms.size(); ++i) setting.rates.push_back(parse_rate(arms.at(i)));
  return setting;
}

/// The largest less the smallest; nothing unless every setting has one.
std::optional<double> spread(const std::vector<std::optional<double>>& values) {
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (const auto& value : values) {
    if (!value) return std::nullopt;
    least = std::min(least, *value);
    most = std::max(most, *value);
  }
  return most - least;
}

/// Where the settings differ more in the mix of domains or groups than in that of labels, that is their skew.
void choose_skew(Sweep& sweep, const std::vector<std::optional<double>>& of_groups) {
  std::vector<std::optional<double>> of_labels;
  of_labels.reserve(sweep.settings.size());
  for (const Setting& setting : sweep.settings) of_labels.push_back(setting.divergence);
  const auto groups = spread(of_groups);
  if (!groups || *groups <= spread(of_labels).value_or(0)) return;
  sweep.skew_of = "domains or groups";
  for (std::size_t i = 0; i < sweep.settings.size(); ++i) sweep.settings[i].divergence = of_groups[i];
}

void check_same_arms(const Field& arms, const std::vector<Arm>& ours, const std::vector<Arm>& first) {
  if (ours.size() != first.size())
    arms.fail_saying(fmt::format("{} arms, but the first setting has {}", ours.size(), first.size()));
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ours[i].name != first[i].name || ours[i].norm != first[i].norm)
      arms.at(i).fail_saying(
          fmt::format("expected the first setting's arm '{}', with the same norm", printable(first[i].name)));
  }
}

// "pk:2" says enough by itself; "batch 16" is what people call a batch size.
std::string value_words(const std::string& key, const std::string& value) {
  if (key == "sampler.kind") return value;
  if (key == "train.batch_size") return "batch " + value;
  std::string words = key.substr(key.rfind('.') + 1);
  std::replace(words.begin(), words.end(), '_', ' ');
  return fmt::format("{} {}", words, value);
}

}  // namespace

std::size_t Sweep::baseline() const {
  return bn_arm(arms()).value_or(0);
}

std::string setting_words(const Sweep& sweep, const Setting& setting, const char* separator) {
  std::vector<std::size_t> all(sweep.axes.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all.empty() ? "the one setting" : setting_words(sweep, setting, all, separator);
}

std::string setting_words(const Sweep& sweep, const Setting& setting, const std::vector<std::size_t>& axes,
                          const char* separator) {
  std::vector<std::string> words;
  words.reserve(axes.size());
  for (const std::size_t i : axes)
    words.push_back(value_words(sweep.axes[i].key, sweep.axes[i].values[setting.places[i]]));
  return join(words, separator);
}

bool is_sweep(const Json& document) {
  const auto kind = document.is_object() ? document.find("kind") : document.end();
  return kind != document.end() && *kind == "sweep";
}

Sweep parse_sweep(const Json& document, const std::string& origin) {
  const Field root(document, origin);
  if (root.at("kind").text() != "sweep") root.at("kind").fail_expecting("'sweep'");
  Sweep sweep{parse_experiment(root),
              root.at("command").text(),
              root.at("seconds").number(0, kLargest),
              std::nullopt,
              parse_axes(root.at("axes")),
              std::nullopt,
              {}};
  if (const auto planned = root.find("runs_planned")) sweep.planned = planned->count();
  if (const auto tuned = root.find("tuned")) sweep.tuned = parse_tuned(*tuned);
  if (const auto paper = root.find("paper")) sweep.paper = paper->object();
  const Field settings = root.at("settings");
  if (settings.array_size() == 0) settings.fail_saying("expected at least one setting");
  std::map<std::vector<std::size_t>, std::size_t> seen;
  std::vector<std::optional<double>> of_groups;
  of_groups.reserve(settings.array_size());
  for (std::size_t i = 0; i < settings.array_size(); ++i) {
    sweep.settings.push_back(parse_setting(settings.at(i), sweep.axes));
    const Setting& setting = sweep.settings.back();
    const auto skew = settings.at(i).find("group_divergence_bits");
    of_groups.push_back(skew ? std::optional(skew->number(0, 64)) : std::nullopt);
    check_same_arms(settings.at(i).at("arms"), setting.arms, sweep.arms());
    const auto [first, fresh] = seen.emplace(setting.places, i);
    if (!fresh)
      settings.at(i).at("values").fail_saying(fmt::format("settings[{}] has the same values", first->second));
  }
  choose_skew(sweep, of_groups);
  return sweep;
}

}  // namespace refnorm::report
