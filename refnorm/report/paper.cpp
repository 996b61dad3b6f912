#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <refnorm/report/html.h>
#include <refnorm/report/markup.h>
#include <refnorm/report/table.h>

namespace refnorm::report {
namespace {

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

// Which of our figures a name of the paper's means, or nothing: a column of ours beside other quantities
// would mislead.
std::optional<std::string> ours(const std::string& key, const Arm* arm) {
  const std::string name = lower(key);
  const auto names = [&](const char* word) { return name.find(word) != std::string::npos; };
  if (!names("error")) return std::nullopt;
  if (names("train")) {
    if (arm == nullptr) return "–";
    return two_decimals(mean_over_runs(*arm, [](const Run& run) { return run.train_error; }));
  }
  if (!names("test") && !names("validation")) return std::nullopt;
  return arm == nullptr ? "–" : with_interval(arm->test_error);
}

std::string beside_ours(const Result& result, const std::string& key, const Json& figures) {
  std::vector<std::vector<std::string>> rows;
  const bool comparable = ours(key, nullptr).has_value();
  for (const auto& member : figures.items()) {
    rows.push_back({member.key(), plain_value(member.value())});
    if (comparable) rows.back().push_back(*ours(key, arm_called(result, member.key())));
  }
  std::vector<std::string> head{key_words(key), "paper"};
  if (comparable) head.emplace_back("ours");
  return html_table(head, rows, 1);
}

}  // namespace

std::string paper_section(const Result& result, const Answer& answer) {
  if (!result.paper.is_object() || result.paper.empty()) return {};
  Json rest = Json::object();
  std::string tables;
  for (const auto& member : result.paper.items()) {
    if (is_keyed_by_arms(result, member.value())) {
      tables += beside_ours(result, member.key(), member.value());
    } else {
      rest[member.key()] = member.value();
    }
  }
  std::string out =
      "<h2>The paper beside ours</h2>\n<div class=\"columns\">\n<section class=\"says\">\n<h3>Paper</h3>\n";
  if (!rest.empty()) out += generic_html(rest);
  out += fmt::format("</section>\n<section>\n<h3>Ours</h3>\n<p>{}</p>\n",
                     escape_markup(answer.sentences.front()));
  if (!result.note.empty()) out += fmt::format("<p class=\"faint\">{}</p>\n", escape_markup(result.note));
  return out + "</section>\n</div>\n" + tables;
}

}  // namespace refnorm::report
