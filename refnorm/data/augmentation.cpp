#include <algorithm>
#include <cmath>

#include <refnorm/data/augmentation.h>

namespace refnorm::data {
namespace {

constexpr int kTries = 10;
constexpr std::array<double, 2> kErasedScale{0.02, 0.33};
constexpr std::array<double, 2> kErasedRatio{0.3, 3.3};

double between(double low, double high, RandomStream& random) {
  return low + (high - low) * random.uniform();
}

/// Python's round(): halves go to the even neighbour.
std::int64_t rounded(double value) {
  return static_cast<std::int64_t>(std::nearbyint(value));
}

std::int64_t below(std::int64_t bound, RandomStream& random) {
  return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(bound)));
}

double ratio_between(const std::array<double, 2>& bounds, RandomStream& random) {
  return std::exp(between(std::log(bounds[0]), std::log(bounds[1]), random));
}

float grey(const float* pixel) {
  return 0.2989F * pixel[0] + 0.587F * pixel[1] + 0.114F * pixel[2];
}

template <class Change>
void for_each_pixel(std::span<float> picture, Change change) {
  for (std::size_t i = 0; i + 3 < picture.size(); i += 4) change(&picture[i]);
}

/// factor · v + (1 − factor) · other, within 0 … 1.
void blend(float* pixel, float factor, float other) {
  for (int c = 0; c < 3; ++c) pixel[c] = std::clamp(factor * pixel[c] + (1 - factor) * other, 0.0F, 1.0F);
}

}  // namespace

Box draw_crop(std::int64_t height, std::int64_t width, const Augmentation& how, RandomStream& random) {
  const auto h = static_cast<double>(height);
  const auto w = static_cast<double>(width);
  for (int i = 0; i < kTries; ++i) {
    const double area = h * w * between(how.crop_scale[0], how.crop_scale[1], random);
    const double ratio = ratio_between(how.crop_ratio, random);
    const std::int64_t crop_width = rounded(std::sqrt(area * ratio));
    const std::int64_t crop_height = rounded(std::sqrt(area / ratio));
    if (crop_width < 1 || crop_width > width || crop_height < 1 || crop_height > height) continue;
    const std::int64_t top = below(height - crop_height + 1, random);
    return {top, below(width - crop_width + 1, random), crop_height, crop_width};
  }
  Box all{0, 0, height, width};
  if (w / h < how.crop_ratio[0])
    all.height = std::clamp<std::int64_t>(rounded(w / how.crop_ratio[0]), 1, height);
  else if (w / h > how.crop_ratio[1])
    all.width = std::clamp<std::int64_t>(rounded(h * how.crop_ratio[1]), 1, width);
  all.top = (height - all.height) / 2;
  all.left = (width - all.width) / 2;
  return all;
}

Box draw_erased(std::int64_t height, std::int64_t width, const Augmentation& how, RandomStream& random) {
  if (how.erase == 0 || random.uniform() >= how.erase) return {};
  const auto area = static_cast<double>(height * width);
  for (int i = 0; i < kTries; ++i) {
    const double share = area * between(kErasedScale[0], kErasedScale[1], random);
    const double ratio = ratio_between(kErasedRatio, random);
    const std::int64_t rows = rounded(std::sqrt(share * ratio));
    const std::int64_t columns = rounded(std::sqrt(share / ratio));
    if (rows >= height || columns >= width) continue;
    const std::int64_t top = below(height - rows + 1, random);
    return {top, below(width - columns + 1, random), rows, columns};
  }
  return {};
}

void adjust_brightness(std::span<float> picture, double factor) {
  for_each_pixel(picture, [f = static_cast<float>(factor)](float* pixel) { blend(pixel, f, 0); });
}

void adjust_contrast(std::span<float> picture, double factor) {
  double sum = 0;
  for_each_pixel(picture, [&](const float* pixel) { sum += static_cast<double>(grey(pixel)); });
  const auto mean = static_cast<float>(sum / (static_cast<double>(picture.size()) / 4));
  for_each_pixel(picture, [mean, f = static_cast<float>(factor)](float* pixel) { blend(pixel, f, mean); });
}

void adjust_saturation(std::span<float> picture, double factor) {
  for_each_pixel(picture, [f = static_cast<float>(factor)](float* pixel) { blend(pixel, f, grey(pixel)); });
}

/// In HSV, of which only H changes: with value V, chroma C and hue H in sixths of the circle, a colour is
/// V − C · clip(min(k, 4 − k), 0, 1), k being H + 5, 3, 1 modulo 6 for red, green, blue.
void turn_hue(std::span<float> picture, double by) {
  for_each_pixel(picture, [turn = static_cast<float>(6 * by)](float* pixel) {
    const auto [r, g, b] = std::array{pixel[0], pixel[1], pixel[2]};
    const float value = std::max({r, g, b});
    const float chroma = value - std::min({r, g, b});
    if (chroma == 0) return;
    float hue = 4 + (r - g) / chroma;
    if (value == r)
      hue = (g - b) / chroma;
    else if (value == g)
      hue = 2 + (b - r) / chroma;
    for (int c = 0; c < 3; ++c) {
      float k = std::fmod(hue + turn + static_cast<float>(5 - 2 * c) + 12, 6.0F);
      k = std::clamp(std::min(k, 4 - k), 0.0F, 1.0F);
      pixel[c] = value - chroma * k;
    }
  });
}

void jitter_colours(std::span<float> picture, const Augmentation& how, RandomStream& random) {
  if (how.brightness == 0 && how.contrast == 0 && how.saturation == 0 && how.hue == 0) return;
  const auto factor = [&](double most) { return between(std::max(0.0, 1 - most), 1 + most, random); };
  // All four are drawn, so that one's strength does not change what another one does.
  const std::vector<std::int64_t> order = random.permutation(4);
  const double brightness = factor(how.brightness);
  const double contrast = factor(how.contrast);
  const double saturation = factor(how.saturation);
  const double hue = between(-how.hue, how.hue, random);
  for (const std::int64_t which : order) {
    if (which == 0 && how.brightness > 0) adjust_brightness(picture, brightness);
    if (which == 1 && how.contrast > 0) adjust_contrast(picture, contrast);
    if (which == 2 && how.saturation > 0) adjust_saturation(picture, saturation);
    if (which == 3 && how.hue > 0) turn_hue(picture, hue);
  }
}

}  // namespace refnorm::data
