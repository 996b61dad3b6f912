#pragma once

#include <string>

#include <refnorm/report/answer.h>
#include <refnorm/report/result.h>

namespace refnorm::report {

/// report.html: one file that needs no network and no script. `curves` is the SVG that curves_svg makes.
std::string html_page(const Result& result, const Answer& answer, const std::string& curves);

/// What the paper says, as it stands in the recipe, beside ours. Texts are escaped. Objects keyed by arms
/// become a table with our figures in a column beside, where the object's name says which figures they are
/// (test_error_pct, validation_error_pct, train_error_pct).
std::string paper_section(const Result& result, const Answer& answer);

/// Any JSON as nested lists of definitions, lists and texts.
std::string generic_html(const Json& value);

/// The words of a key: "batch_size" reads "batch size".
std::string key_words(const std::string& key);

/// A table with a head; the first `text_columns` columns are words, the others numbers. Cells are escaped;
/// `strong` is the index of a row to set off, or none.
std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, std::size_t text_columns,
                       std::optional<std::size_t> strong = std::nullopt);

/// The page's style sheet.
const char* page_style();

}  // namespace refnorm::report
