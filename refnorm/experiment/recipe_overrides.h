#pragma once

#include <string>

#include <toml++/toml.h>

namespace refnorm::experiment {

/// A node as TOML; as_written() leaves out what a message of one line cannot hold.
std::string as_toml(const toml::node& node);
std::string as_written(const toml::node& node);

/// KEY=VALUE as --set takes it: walks to the place of the key, making tables on the way, and sets it. Returns
/// whether something changed. Throws UserError where the key leads nowhere.
bool apply_override(toml::table& root, const std::string& text);

}  // namespace refnorm::experiment
