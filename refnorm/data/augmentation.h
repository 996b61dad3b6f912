#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <refnorm/base/random.h>
#include <refnorm/data/pixels.h>

namespace refnorm::data {

// What training does to pictures at random, by the rules of torchvision's transforms of these names, whose
// defaults these are. Pictures here are float [height · width, 4] (red, green, blue, one of no meaning) of
// 0 … 1.

/// How much of each.
struct Augmentation {
  std::array<double, 2> crop_scale{0.08, 1};           ///< the crop's share of the area, from … to
  std::array<double, 2> crop_ratio{3.0 / 4, 4.0 / 3};  ///< its width by its height, from … to
  double flip = 0.5;                                   ///< the chance of left and right changing places
  /// Colour: factors are of 1 − x … 1 + x, at least 0; the hue turns by −x … x of the circle, x at most 1/2.
  double brightness = 0, contrast = 0, saturation = 0, hue = 0;
  double erase = 0;  ///< the chance of a rectangle being erased
};

/// RandomResizedCrop: a share of the area and, uniform in its logarithm, a ratio, until a rectangle of these
/// fits, ten times; then the largest centred part whose ratio is within bounds.
Box draw_crop(std::int64_t height, std::int64_t width, const Augmentation& how, RandomStream& random);

/// ColorJitter: by random factors, in random order; nothing is drawn where all four are 0.
void jitter_colours(std::span<float> picture, const Augmentation& how, RandomStream& random);

/// RandomErasing's rectangle: 2 to 33 % of the area and a ratio of 0.3 to 3.3, ten times tried; empty where
/// none fits, or none is to be.
Box draw_erased(std::int64_t height, std::int64_t width, const Augmentation& how, RandomStream& random);

// What ColorJitter consists of; 1 (of the hue, 0) changes nothing.

void adjust_brightness(std::span<float> picture, double factor);
/// About the mean of the whole picture's grey values.
void adjust_contrast(std::span<float> picture, double factor);
void adjust_saturation(std::span<float> picture, double factor);
void turn_hue(std::span<float> picture, double by);

}  // namespace refnorm::data
