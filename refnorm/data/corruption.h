#pragma once

#include <memory>
#include <string>

#include <refnorm/data/image_set.h>

namespace refnorm::data {

/// The set with every picture changed: `spec` is "noisy:SIGMA", "blurred:SIGMA", "inverted:STRENGTH" or
/// "rotated:QUARTERS" (transform.h). Noise is drawn for each sample by its index, the same at every reading.
/// Throws UserError for another word or a strength out of range.
std::shared_ptr<const ImageSet> corrupted(std::shared_ptr<const ImageSet> set, const std::string& spec);

}  // namespace refnorm::data
