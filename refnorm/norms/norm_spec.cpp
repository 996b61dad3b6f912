#include <algorithm>
#include <charconv>
#include <cmath>

#include <refnorm/base/error.h>
#include <refnorm/base/text.h>
#include <refnorm/norms/norm_registry.h>

namespace refnorm {
namespace {

/// Adding a norm: one file, and one line here.
const std::vector<NormEntry>& registry() {
  static const std::vector<NormEntry> entries{
      no_norm_entry(),          batch_norm_entry(),        reference_batch_norm_entry(),
      batch_renorm_entry(),     layer_norm_entry(),        instance_norm_entry(),
      group_norm_entry(),       switchable_norm_entry(),   frozen_batch_norm_entry(),
      ghost_batch_norm_entry(), virtual_batch_norm_entry()};
  return entries;
}

const NormEntry& entry_of(const NormSpec& spec) {
  std::vector<std::string> names;
  for (const NormEntry& entry : registry()) {
    if (entry.kind.name == spec.kind) return entry;
    names.push_back(entry.kind.name);
  }
  user_error("norm: '{}' is not known{}", printable(spec.kind), suggestion(spec.kind, names));
}

bool is_whole_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

NormSpec NormSpec::parse(std::string_view text) {
  NormSpec spec;
  const std::size_t colon = text.find(':');
  spec.kind = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    for (const std::string& option : split(text.substr(colon + 1), ',')) {
      if (option.empty())
        user_error("norm: '{}' has an empty option, expected KIND:OPTION,OPTION", printable(text));
      const std::size_t equals = option.find('=');
      const bool bare = equals == std::string::npos;
      if (bare && is_whole_number(option) && !entry_of(spec).number_means.empty()) {
        spec.options.emplace_back(entry_of(spec).number_means, option);
      } else {
        spec.options.emplace_back(option.substr(0, equals), bare ? "" : option.substr(equals + 1));
      }
    }
  }
  spec.check();
  return spec;
}

void NormSpec::check() const {
  OptionReader reader(*this);
  entry_of(*this).make(reader, /*channels=*/0, /*dims=*/2);
}

std::string NormSpec::to_string() const {
  std::vector<std::string> words;
  const std::string& number = entry_of(*this).number_means;
  for (const auto& [name, value] : options) {
    words.push_back(value.empty() ? name : name == number ? value : name + "=" + value);
  }
  return words.empty() ? kind : kind + ":" + join(words, ",");
}

std::vector<NormKind> norm_kinds() {
  std::vector<NormKind> kinds;
  for (const NormEntry& entry : registry()) kinds.push_back(entry.kind);
  return kinds;
}

std::shared_ptr<NormLayer> make_norm(const NormSpec& spec, std::int64_t channels, int dims) {
  if (channels < 1) user_error("norm: {} channels, expected at least 1", channels);
  if (dims < 0 || dims > 3) user_error("norm: {} spatial axes, expected 0 to 3", dims);
  OptionReader options(spec);
  return entry_of(spec).make(options, channels, dims);
}

std::vector<NormOption> affine_options(std::vector<NormOption> own) {
  own.push_back({"eps=E", "added to the variance under the root (1e-5)"});
  own.push_back({"plain", "no weight and bias"});
  return own;
}

std::vector<NormOption> running_options(std::vector<NormOption> own, const std::string& momentum) {
  own.push_back({"momentum=M", "weight of the newest batch in the running averages (" + momentum + ")"});
  own.push_back({"cumulative", "running averages are plain averages over all batches"});
  return affine_options(std::move(own));
}

NormFactory norm_factory(NormSpec spec) {
  return
      [spec = std::move(spec)](std::int64_t channels, int dims) { return make_norm(spec, channels, dims); };
}

const std::string* OptionReader::find(const std::string& name) {
  known_.push_back(name);
  const std::string* found = nullptr;
  for (std::size_t i = 0; i < spec_.options.size(); ++i) {
    if (spec_.options[i].first != name) continue;
    if (found != nullptr) user_error("norm: {}: '{}' stands twice", spec_.kind, name);
    used_[i] = true;
    found = &spec_.options[i].second;
  }
  return found;
}

std::optional<std::string> OptionReader::word(const std::vector<std::string>& words) {
  std::optional<std::string> chosen;
  for (const std::string& candidate : words) {
    const std::string* value = find(candidate);
    if (value == nullptr) continue;
    if (!value->empty()) user_error("norm: {}: '{}' takes no value", spec_.kind, candidate);
    if (chosen) user_error("norm: {}: '{}' and '{}' exclude each other", spec_.kind, *chosen, candidate);
    chosen = candidate;
  }
  return chosen;
}

std::optional<std::string> OptionReader::text(const std::string& name,
                                              const std::vector<std::string>& allowed) {
  const std::string* value = find(name);
  if (value == nullptr) return std::nullopt;
  for (const std::string& one : allowed) {
    if (*value == one) return one;
  }
  user_error("norm: {}: {} is '{}', expected {}", spec_.kind, name, printable(*value), join(allowed, " or "));
}

std::optional<double> OptionReader::number(const std::string& name, double low, double high) {
  const std::string* value = find(name);
  if (value == nullptr) return std::nullopt;
  double parsed = 0;
  const auto [end, failure] = std::from_chars(value->data(), value->data() + value->size(), parsed);
  const bool whole = failure == std::errc() && end == value->data() + value->size();
  if (!whole || !(parsed >= low && parsed <= high)) {
    user_error("norm: {}: {} is '{}', expected a number from {} to {}", spec_.kind, name, printable(*value),
               low, high);
  }
  return parsed;
}

std::optional<std::optional<double>> OptionReader::number_or(const std::string& word, const std::string& name,
                                                             double low, double high) {
  const std::string* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (*value == word) return std::optional<double>();
  return number(name, low, high);
}

std::optional<std::int64_t> OptionReader::count(const std::string& name, std::int64_t low) {
  const std::string* value = find(name);
  if (value == nullptr) return std::nullopt;
  std::int64_t parsed = 0;
  const auto [end, failure] = std::from_chars(value->data(), value->data() + value->size(), parsed);
  if (failure != std::errc() || end != value->data() + value->size() || parsed < low) {
    user_error("norm: {}: {} is '{}', expected a whole number of at least {}", spec_.kind, name,
               printable(*value), low);
  }
  return parsed;
}

void OptionReader::done() const {
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (used_[i]) continue;
    const std::string& name = spec_.options[i].first;
    if (known_.empty()) user_error("norm: {}: takes no options, got '{}'", spec_.kind, printable(name));
    user_error("norm: {}: option '{}' is not known{}", spec_.kind, printable(name), suggestion(name, known_));
  }
}

}  // namespace refnorm
