#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace refnorm::report {

/// Text for XML and HTML, also inside quoted attributes. Characters that neither may hold become U+FFFD.
std::string escape_markup(std::string_view text);

/// Text for a cell of a Markdown table or a paragraph.
std::string escape_markdown(std::string_view text);

/// Text for a terminal: control characters, escape sequences' own among them, become U+FFFD, line breaks
/// spaces.
std::string one_line(std::string_view text);

/// Columns that a terminal gives the text: East Asian wide characters take two, combining marks none.
std::size_t display_width(std::string_view text);

/// At most `longest` code points, the last of them '…' where something was cut.
std::string shortened(std::string_view text, std::size_t longest);

/// "0.81", or "–" for nothing.
std::string two_decimals(const std::optional<double>& value);

/// "4,290".
std::string with_thousands(double value);

/// "1 run", "2 runs".
std::string counted(std::size_t n, std::string_view thing);

/// "a", "a and b", "a, b and c".
std::string enumerated(const std::vector<std::string>& items);

}  // namespace refnorm::report
