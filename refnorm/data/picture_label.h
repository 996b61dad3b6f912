#pragma once

#include <filesystem>
#include <string>

#include <refnorm/data/picture.h>

namespace refnorm::data {

/// The picture as a PNG file's bytes, with `label` and, behind it, `detail` on a dark bar below it, so that
/// they can be read whatever the picture shows. Pictures whose shorter side is below 224 pixels are enlarged
/// by a whole factor without smoothing. A label too long for the bar is cut; characters outside ASCII become
/// '?', since the font has no others.
std::string labelled_png(const Picture& picture, const std::string& label, const std::string& detail);

}  // namespace refnorm::data
