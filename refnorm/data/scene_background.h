#pragma once

#include <refnorm/base/random.h>
#include <refnorm/data/stamps.h>

namespace refnorm::data {

/// What things are pasted onto: colours that pass into each other, clouds of noise, the stamp blurred beyond
/// recognition, or it small and blurred side by side; one of them at random, with grain over it.
Rgb draw_background(std::int64_t height, std::int64_t width, const Rgba& stamp, RandomStream& random);

}  // namespace refnorm::data
