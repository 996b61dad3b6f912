#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace refnorm {

/// Keys stay in the order they were written: files meant to be read by people keep their shape.
using Json = nlohmann::ordered_json;

/// Keys sorted. For documents with objects of very many keys: Json compares a new key with every one before
/// it.
using SortedJson = nlohmann::json;

/// Parses `text`. Throws UserError naming `origin` (a file or an argument) and the byte where it went wrong;
/// repeated keys in an object, nesting of more than 100 levels and numbers beyond a double's range are
/// errors.
Json parse_json(std::string_view text, const std::string& origin);
SortedJson parse_json_sorted(std::string_view text, const std::string& origin);

Json read_json(const std::filesystem::path& file);

/// Writes atomically (see write_file), indented by 2.
void write_json(const std::filesystem::path& file, const Json& value);

}  // namespace refnorm
