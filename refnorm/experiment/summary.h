#pragma once

#include <cstddef>
#include <vector>

#include <refnorm/base/json.h>
#include <refnorm/experiment/recipe.h>

namespace refnorm::experiment {

/// The comparison's result.json (docs/files.md) from its runs so far, `expected` in all. A run is the
/// result.json of its folder with `arm`, `seed` and `folder`, or these three and `failed`.
Json summarize_comparison(const Recipe& recipe, const Json& setup, const std::vector<Json>& runs,
                          std::size_t expected);

}  // namespace refnorm::experiment
