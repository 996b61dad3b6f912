#pragma once

#include <filesystem>

#include <refnorm/base/json.h>

namespace refnorm::data {

/// Makes an image folder (load_image_folder) of stamps: TO/train/CATEGORY/*.jpg and TO/val/CATEGORY/*.jpg,
/// transparent parts white, of the categories of 30 stamps or more. A fifth of each category's stamps is in
/// val, the same in every call; stamps of fewer than 24 rows or columns are left out. Returns the numbers of
/// pictures and the stamps' fingerprint. Throws UserError for folders that are none of stamps and pictures
/// that cannot be read, Error where a stop is asked for.
Json write_stamp_folder(const std::filesystem::path& stamps, const std::filesystem::path& to);

}  // namespace refnorm::data
