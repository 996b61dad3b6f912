#pragma once

#include <optional>
#include <string>
#include <vector>

#include <refnorm/report/result.h>
#include <refnorm/report/table.h>

namespace refnorm::report {

/// What the pages are made of. Texts are escaped.

std::string paragraph(const std::string& text, const char* kind = "");
std::string heading(const char* text);

/// Everything up to what is said: head, style, the line above the title, the title and the note.
std::string page_start(const std::string& kicker, const Experiment& experiment);

/// The end, with the one script: it sets off an arm's curve while its legend entry is pointed at or has the
/// focus, and for good once it is clicked. Without it the page says the same.
std::string page_end();

/// A table with a head; the first `text_columns` columns are words, the others numbers. `strong` is the index
/// of a row to set off, or none.
std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, std::size_t text_columns,
                       std::optional<std::size_t> strong = std::nullopt, const StrongCell& strong_cell = {});

/// Any JSON as nested lists of definitions, lists and texts.
std::string generic_html(const Json& value);

/// Set-up and machine beside each other.
std::string setup_section(const Experiment& experiment);

/// The words of a key: "batch_size" reads "batch size".
std::string key_words(const std::string& key);

/// The page's style sheet.
const char* page_style();

}  // namespace refnorm::report
