#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace refnorm {

/// The candidate with the smallest edit distance to `word`, or an empty string where none is near enough to
/// be meant (more than about a third of the letters differ).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// ", did you mean 'x'?" for the nearest candidate, else "; known are: a, b, c".
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

std::vector<std::string> split(std::string_view text, char separator);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// Seconds as a person reads them: "4.2 s", "3 min 10 s", "2 h 05 min"; "an unknown time" beyond centuries.
std::string readable_duration(double seconds);

/// What an untrusted string looks like in a one-line message: control characters escaped, long ones cut.
std::string printable(std::string_view text, std::size_t longest = 60);

bool is_utf8(std::string_view text);

/// Another library's message within one of ours: white space of any kind becomes one blank, the full stop at
/// the end goes, the rest as printable().
std::string one_line(std::string_view text, std::size_t longest = 300);

}  // namespace refnorm
