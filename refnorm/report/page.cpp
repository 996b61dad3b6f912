#include <algorithm>

#include <fmt/format.h>

#include <refnorm/report/markup.h>
#include <refnorm/report/page.h>

namespace refnorm::report {
namespace {

using Rows = std::vector<std::vector<std::string>>;

// An arm's marks carry its number. No '<' and no '&': the page stays well-formed XML.
constexpr const char* kPointerScript = R"js(
document.querySelectorAll("svg.refnorm-curves").forEach(function (picture) {
  var kept = null;
  var show = function (arm) {
    picture.querySelectorAll("[data-arm]").forEach(function (mark) {
      mark.classList.toggle("dim", arm === null ? false : mark.getAttribute("data-arm") !== arm);
    });
  };
  picture.querySelectorAll(".entry").forEach(function (entry) {
    var arm = entry.getAttribute("data-arm");
    var keep = function () {
      kept = kept === arm ? null : arm;
      show(kept);
      picture.querySelectorAll(".entry").forEach(function (other) {
        other.setAttribute("aria-pressed", String(other.getAttribute("data-arm") === kept));
      });
    };
    picture.setAttribute("role", "group");
    entry.setAttribute("tabindex", "0");
    entry.setAttribute("role", "button");
    entry.setAttribute("aria-pressed", "false");
    entry.addEventListener("mouseenter", function () { show(arm); });
    entry.addEventListener("mouseleave", function () { show(kept); });
    entry.addEventListener("focus", function () { show(arm); });
    entry.addEventListener("blur", function () { show(kept); });
    entry.addEventListener("click", keep);
    entry.addEventListener("keydown", function (event) {
      if (event.key !== "Enter") { if (event.key !== " ") { return; } }
      event.preventDefault();
      keep();
    });
  });
});
)js";

}  // namespace

std::string paragraph(const std::string& text, const char* kind) {
  return fmt::format("<p{}>{}</p>\n", *kind ? fmt::format(" class=\"{}\"", kind) : "", escape_markup(text));
}

std::string heading(const char* text) {
  return fmt::format("<h2>{}</h2>\n", escape_markup(text));
}

std::string key_words(const std::string& key) {
  std::string words = key;
  if (words.ends_with("_pct")) words.replace(words.size() - 3, 3, "%");
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

std::string html_table(const std::vector<std::string>& head, const Rows& rows, std::size_t text_columns,
                       std::optional<std::size_t> strong, const StrongCell& strong_cell) {
  constexpr std::size_t kHead = std::size_t(-1);
  const auto line = [&](const std::vector<std::string>& cells, const char* tag, std::size_t row) {
    std::string out;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      std::string kind = i >= text_columns ? "" : display_width(cells[i]) > 30 ? "words long" : "words";
      if (row != kHead && strong_cell && strong_cell(row, i)) kind += kind.empty() ? "strong" : " strong";
      if (!kind.empty()) kind = fmt::format(" class=\"{}\"", kind);
      out += fmt::format("<{}{}>{}</{}>", tag, kind, escape_markup(cells[i]), tag);
    }
    return out + "</tr>\n";
  };
  std::string out =
      "<div class=\"scroll\"><table>\n<thead>\n<tr>" + line(head, "th", kHead) + "</thead>\n<tbody>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += (strong == i ? "<tr class=\"strong\">" : "<tr>") + line(rows[i], "td", i);
  }
  return out + "</tbody>\n</table></div>\n";
}

std::string generic_html(const Json& value) {
  if (!value.is_structured()) return escape_markup(plain_value(value));
  std::string out = value.is_object() ? "<dl>\n" : "<ul>\n";
  for (const auto& member : value.items()) {
    const std::string inner = generic_html(member.value());
    out += value.is_object()
               ? fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_markup(key_words(member.key())), inner)
               : fmt::format("<li>{}</li>\n", inner);
  }
  return out + (value.is_object() ? "</dl>\n" : "</ul>\n");
}

std::string setup_section(const Experiment& experiment) {
  const auto column = [](const char* name, const Json& values) {
    return values.empty() ? ""
                          : fmt::format("<section>\n<h3>{}</h3>\n{}</section>\n", name, generic_html(values));
  };
  const std::string columns = column("Set-up", experiment.setup) + column("Machine", experiment.machine);
  if (columns.empty()) return {};
  return fmt::format("{}<div class=\"columns\">\n{}</div>\n", heading("Set-up and machine"), columns);
}

std::string page_start(const std::string& kicker, const Experiment& experiment) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
      escape_markup(title(experiment)), page_style());
  out += paragraph(kicker, "kicker");
  out += fmt::format("<h1>{}</h1>\n", escape_markup(experiment.recipe));
  if (!experiment.note.empty()) out += paragraph(experiment.note, "note");
  return out;
}

std::string page_end() {
  return fmt::format("</main>\n<script>{}</script>\n</body>\n</html>\n", kPointerScript);
}

}  // namespace refnorm::report
