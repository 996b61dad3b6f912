#include <cmath>
#include <optional>

#include <refnorm/base/error.h>
#include <refnorm/base/json.h>
#include <refnorm/base/text.h>
#include <refnorm/deploy/model_description.h>

namespace refnorm::deploy {
namespace {

constexpr const char* kPrefix = "refnorm.";
constexpr const char* kPreprocessing = "refnorm.preprocessing";
constexpr const char* kClasses = "refnorm.classes";

/// What a picture may be at most, so that a damaged size is found before memory is asked for.
constexpr std::int64_t kMostChannels = 4;
constexpr std::int64_t kLongestSide = 16384;
constexpr std::size_t kMostClasses = 1'000'000;

/// The fields that are plain texts, by key. `Description` is ModelDescription, const or not.
template <class Description, class Visit>
void for_each_text(Description& description, Visit visit) {
  visit("refnorm.input", description.input);
  visit("refnorm.output", description.output);
  visit("refnorm.model", description.model);
  visit("refnorm.norm", description.norm);
  visit("refnorm.recipe", description.recipe);
  visit("refnorm.arm", description.arm);
}

/// What is wrong with the description, with the key in front; or nothing.
std::optional<std::string> fault(const ModelDescription& d) {
  const auto of_preprocessing = [](const std::string& what) {
    return fmt::format("{}: {}", kPreprocessing, what);
  };
  if (d.channels < 1 || d.channels > kMostChannels)
    return of_preprocessing(fmt::format("{} channels, expected 1 to {}", d.channels, kMostChannels));
  for (const std::int64_t side : {d.height, d.width}) {
    if (side < 1 || side > kLongestSide)
      return of_preprocessing(
          fmt::format("pictures of {} x {}, expected sides of 1 to {}", d.height, d.width, kLongestSide));
  }
  for (const auto* numbers : {&d.mean, &d.std}) {
    const char* name = numbers == &d.mean ? "mean" : "std";
    if (static_cast<std::int64_t>(numbers->size()) != d.channels)
      return of_preprocessing(fmt::format("{} has {} numbers, expected one for each of {} channels", name,
                                          numbers->size(), d.channels));
    for (const double number : *numbers) {
      if (!std::isfinite(number)) return of_preprocessing(fmt::format("{} is not finite", name));
      if (numbers == &d.std && !(number > 0)) return of_preprocessing("std is not positive");
    }
  }
  if (!(d.centre > 0 && d.centre <= 1))
    return of_preprocessing(fmt::format("centre is {}, expected above 0 and at most 1", d.centre));
  if (d.classes.empty()) return fmt::format("{}: no class", kClasses);
  if (d.classes.size() > kMostClasses) return fmt::format("{}: more than {} classes", kClasses, kMostClasses);
  return std::nullopt;
}

Json value_of(const std::map<std::string, std::string>& metadata, const char* key,
              const std::string& origin) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) user_error("{}: the metadata has no {}", origin, key);
  return parse_json(found->second, fmt::format("{}: {}", origin, key));
}

}  // namespace

std::map<std::string, std::string> to_metadata(const ModelDescription& description) {
  if (const auto what = fault(description)) fail("model description: {}", *what);
  std::map<std::string, std::string> metadata;
  for_each_text(description, [&](const char* key, const std::string& text) { metadata[key] = text; });
  const auto text_of = [](const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  Json preprocessing{{"channels", description.channels},
                     {"height", description.height},
                     {"width", description.width},
                     {"mean", description.mean},
                     {"std", description.std}};
  if (description.centre != 1) preprocessing["centre"] = description.centre;
  metadata[kPreprocessing] = text_of(preprocessing);
  metadata[kClasses] = text_of(description.classes);
  return metadata;
}

bool has_description(const std::map<std::string, std::string>& metadata) {
  const auto first = metadata.lower_bound(kPrefix);
  return first != metadata.end() && first->first.starts_with(kPrefix);
}

ModelDescription description_from(const std::map<std::string, std::string>& metadata,
                                  const std::string& origin) {
  ModelDescription description;
  for_each_text(description, [&](const char* key, std::string& text) {
    if (const auto found = metadata.find(key); found != metadata.end()) text = found->second;
  });
  const Json preprocessing = value_of(metadata, kPreprocessing, origin);
  const Json classes = value_of(metadata, kClasses, origin);
  const auto whole_number = [&](const char* name) {
    const Json& value = preprocessing.at(name);
    if (!value.is_number_integer())
      user_error("{}: {}: {} is not a whole number", origin, kPreprocessing, name);
    return value.get<std::int64_t>();
  };
  try {
    description.channels = whole_number("channels");
    description.height = whole_number("height");
    description.width = whole_number("width");
    description.mean = preprocessing.at("mean").get<std::vector<double>>();
    description.std = preprocessing.at("std").get<std::vector<double>>();
    if (preprocessing.contains("centre")) description.centre = preprocessing.at("centre").get<double>();
  } catch (const Json::exception&) {
    user_error("{}: {}: expected channels, height, width, and the lists mean and std", origin,
               kPreprocessing);
  }
  try {
    description.classes = classes.get<std::vector<std::string>>();
  } catch (const Json::exception&) {
    user_error("{}: {}: expected a list of names", origin, kClasses);
  }
  if (const auto what = fault(description)) user_error("{}: {}", origin, *what);
  return description;
}

}  // namespace refnorm::deploy
