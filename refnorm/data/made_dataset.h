#pragma once

#include <filesystem>

#include <refnorm/data/fetch.h>

namespace refnorm::data {

/// fetch_dataset() of a set that is made of other pictures.
FetchResult make_dataset(const Dataset& dataset, const std::filesystem::path& folder,
                         const FetchOptions& options);

}  // namespace refnorm::data
