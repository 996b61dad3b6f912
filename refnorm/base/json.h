#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace refnorm {

/// Keys stay in the order they were written: files meant to be read by people keep their shape.
using Json = nlohmann::ordered_json;

/// Parses `text`. Throws UserError naming `origin` (a file or an argument) and the byte where it went wrong; repeated
/// keys in an object are an error.
Json parse_json(std::string_view text, const std::string& origin);

Json read_json(const std::filesystem::path& file);

/// Writes atomically (see write_file), indented by 2.
void write_json(const std::filesystem::path& file, const Json& value);

}  // namespace refnorm
