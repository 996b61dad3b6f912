#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <refnorm/base/text.h>
#include <refnorm/report/detection_table.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/page.h>
#include <refnorm/report/paper.h>

namespace refnorm::report {
namespace {

constexpr const char* kSetup = "setup";
constexpr double kNearlyAll = 0.95;  // held out samples do not make it another set-up

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

const Arm* arm_called(const Result& result, const std::string& name) {
  for (const Arm& arm : result.arms) {
    if (lower(arm.name) == lower(name)) return &arm;
  }
  return nullptr;
}

bool is_keyed_by_arms(const Result& result, const Json& value) {
  if (!value.is_object()) return false;
  bool any = false;
  for (const auto& member : value.items()) {
    if (member.value().is_structured()) return false;
    any = any || arm_called(result, member.key()) != nullptr;
  }
  return any;
}

bool is_setup(const std::string& key, const Json& value) {
  return key == kSetup && value.is_object() &&
         std::none_of(value.begin(), value.end(), [](const Json& member) { return member.is_structured(); });
}

// Which of our figures a name of the paper's means, or nothing: a column of ours beside other quantities
// would mislead.
std::optional<std::string> ours(const Result& result, const std::string& key, const Arm* arm) {
  const std::string name = lower(key);
  const bool found = std::any_of(result.arms.begin(), result.arms.end(),
                                 [&](const Arm& one) { return detection_figure(one, key).has_value(); });
  if (found) return arm == nullptr ? "–" : detection_figure(*arm, key).value_or("–");
  const auto names = [&](const char* word) { return name.find(word) != std::string::npos; };
  if (!names("error")) return std::nullopt;
  if (names("train")) {
    if (arm == nullptr) return "–";
    return two_decimals(mean_over_runs(*arm, [](const Run& run) { return run.train_error; }));
  }
  if (!names("test") && !names("validation")) return std::nullopt;
  return arm == nullptr ? "–" : with_interval(arm->test_error);
}

std::string counted(const Json& value) {
  if (value.is_number_integer() && value.get<double>() >= 1000) return with_thousands(value.get<double>());
  return plain_value(value);
}

bool falls_short(const Json& theirs, const Json& ours) {
  if (theirs.is_number() && ours.is_number()) return ours.get<double>() < kNearlyAll * theirs.get<double>();
  return theirs.is_string() && ours.is_string() && theirs != ours;
}

const Json* setup_of_paper(const Result& result) {
  if (!result.paper.is_object()) return nullptr;
  const auto found = result.paper.find(kSetup);
  return found != result.paper.end() && is_setup(kSetup, *found) ? &*found : nullptr;
}

Table setup_table(const Result& result, const Json& theirs) {
  Table table{{"set-up", "paper", "ours"}, {}, 1};
  for (const auto& member : theirs.items()) {
    const auto found = result.setup.find(member.key());
    table.rows.push_back({key_words(member.key()), counted(member.value()),
                          found == result.setup.end() || found->is_structured() ? "–" : counted(*found)});
  }
  return table;
}

/// An object of the paper's that is keyed by arms, and its name.
struct Figures {
  std::string key;
  const Json* theirs;
};

std::vector<Figures> figures_of(const Result& result) {
  std::vector<Figures> all;
  if (!result.paper.is_object()) return all;
  for (const auto& member : result.paper.items()) {
    if (!is_setup(member.key(), member.value()) && is_keyed_by_arms(result, member.value()))
      all.push_back({member.key(), &member.value()});
  }
  return all;
}

/// The member of that name, whatever its case.
const Json* named(const Json& object, const std::string& name) {
  for (const auto& member : object.items()) {
    if (lower(member.key()) == lower(name)) return &member.value();
  }
  return nullptr;
}

/// Those that the paper has figures of: ours in their order, then those that only the paper has.
std::vector<std::string> arms_of(const Result& result, const std::vector<Figures>& all) {
  std::vector<std::string> names;
  for (const Arm& arm : result.arms) {
    if (std::any_of(all.begin(), all.end(),
                    [&](const Figures& figures) { return named(*figures.theirs, arm.name) != nullptr; }))
      names.push_back(arm.name);
  }
  for (const Figures& figures : all) {
    for (const auto& member : figures.theirs->items()) {
      const bool known = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return lower(name) == lower(member.key());
      });
      if (!known) names.push_back(member.key());
    }
  }
  return names;
}

std::string html_of(const Table& table) {
  return table.rows.empty() ? "" : html_table(table.head, table.rows, table.text_columns);
}

}  // namespace

std::string scaled_down(const Result& result) {
  const Json* theirs = setup_of_paper(result);
  if (theirs == nullptr) return {};
  std::vector<std::string> parts;
  for (const auto& member : theirs->items()) {
    const auto found = result.setup.find(member.key());
    if (found == result.setup.end() || !falls_short(member.value(), *found)) continue;
    parts.push_back(fmt::format("{} {} instead of {}", key_words(member.key()), counted(*found),
                                counted(member.value())));
  }
  return parts.empty() ? "" : fmt::format("Scaled down from the paper's set-up: {}.", join(parts, ", "));
}

Table paper_figures(const Result& result) {
  Table table{{"arm"}, {}, 1};
  const std::vector<Figures> all = figures_of(result);
  for (const std::string& name : arms_of(result, all)) table.rows.push_back({name});
  for (const auto& [key, theirs] : all) {
    const bool comparable = ours(result, key, nullptr).has_value();
    table.head.push_back(key_words(key) + (comparable ? ": paper" : ""));
    if (comparable) table.head.emplace_back("ours");
    for (std::vector<std::string>& row : table.rows) {
      const Json* figure = named(*theirs, row.front());
      row.push_back(figure == nullptr ? "–" : plain_value(*figure));
      if (comparable) row.push_back(*ours(result, key, arm_called(result, row.front())));
    }
  }
  return table;
}

std::string paper_section(const Result& result, const Answer& answer) {
  if (!result.paper.is_object() || result.paper.empty()) return {};
  const Json* theirs = setup_of_paper(result);
  Json rest = Json::object();
  for (const auto& member : result.paper.items()) {
    if (!is_setup(member.key(), member.value()) && !is_keyed_by_arms(result, member.value()))
      rest[member.key()] = member.value();
  }
  std::string out =
      "<h2>The paper beside ours</h2>\n<div class=\"columns\">\n<section class=\"says\">\n<h3>Paper</h3>\n";
  if (!rest.empty()) out += generic_html(rest);
  out += "</section>\n<section>\n<h3>Ours</h3>\n" + paragraph(answer.sentences.front());
  const std::string less = scaled_down(result);
  if (!less.empty()) out += paragraph(less);
  if (!result.note.empty()) out += paragraph(result.note, "faint");
  out += "</section>\n</div>\n" + html_of(paper_figures(result));
  return theirs == nullptr ? out : out + html_of(setup_table(result, *theirs));
}

}  // namespace refnorm::report
