#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace refnorm {

/// The whole of a regular file. Throws UserError where it is missing, a folder, or cannot be read.
std::string read_file(const std::filesystem::path& file);

/// Replaces `file` by `bytes` so that a kill at any moment leaves the old or the new content: written beside,
/// synced, renamed. Throws Error (and leaves nothing behind) where it cannot.
void write_file(const std::filesystem::path& file, std::string_view bytes);

/// Puts the folder `fresh`, fully written, in the place of `target`, which may not exist yet. The exchange is
/// atomic: at every moment `target`, once it existed, is a complete old or new folder. Contents and names are
/// synced to disk. A kill may leave the other of the two as `fresh`: clear it before writing the next one.
/// Throws Error.
void replace_folder(const std::filesystem::path& fresh, const std::filesystem::path& target);

/// Creates the folder and its parents. Throws UserError where something in the way is not a folder or it is
/// forbidden.
void make_folder(const std::filesystem::path& folder);

}  // namespace refnorm
