#pragma once

#include <filesystem>
#include <memory>

#include <refnorm/data/image_set.h>

namespace refnorm::data {

/// The set with the groups that a CSV file gives its samples, such as their cameras, patients or days: a
/// header with the columns `index` (in the set, from 0) and `group` (a name), others beside them being
/// ignored, and one row for each sample, in any order. Throws UserError of one line that names the file, the
/// line and what is wrong.
std::shared_ptr<const ImageSet> with_groups(std::shared_ptr<const ImageSet> set,
                                            const std::filesystem::path& csv);

}  // namespace refnorm::data
