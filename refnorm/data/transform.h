#pragma once

#include <cstdint>

#include <torch/types.h>

#include <refnorm/base/random.h>

namespace refnorm::data {

// Changes of a picture that leave its label alone. A picture is float32 [C, H, W] of pixel values 0 … 1,
// before a set's PixelScale. What comes out is another picture, of 0 … 1 too, in memory of its own.

/// By 90 degrees counter-clockwise, `quarter_turns` times; H and W change places where that is odd.
torch::Tensor rotated(const torch::Tensor& picture, std::int64_t quarter_turns);

/// (1 − strength) · v + strength · (1 − v): the negative for 1, flat grey for 0.5. Of 0 … 1.
torch::Tensor inverted(const torch::Tensor& picture, double strength);

/// v + sigma · n, cut off at 0 and 1, with a standard normal n of its own for each value, drawn from `random`
/// in row-major order.
torch::Tensor noisy(const torch::Tensor& picture, double sigma, RandomStream& random);

/// The convolution of each channel with a Gaussian of deviation `sigma` pixels, cut off at ceil(3 · sigma)
/// pixels on every side and scaled to the sum 1; beyond the border its pixels go on. Requires sigma > 0.
torch::Tensor blurred(const torch::Tensor& picture, double sigma);

}  // namespace refnorm::data
