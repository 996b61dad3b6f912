#include <algorithm>
#include <cmath>
#include <vector>

#include <torch/types.h>

#include <refnorm/data/transform.h>

namespace refnorm::data {
namespace {

using torch::Tensor;

/// Of places −radius … radius.
std::vector<double> gaussian(double sigma) {
  const auto radius = static_cast<std::int64_t>(std::ceil(3 * sigma));
  std::vector<double> weights;
  double sum = 0;
  for (std::int64_t i = -radius; i <= radius; ++i) {
    const double distance = static_cast<double>(i) / sigma;
    weights.push_back(std::exp(-0.5 * distance * distance));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// `line` of `count` values that are `stride` apart, blurred into `out` of the same layout.
void blur_line(const float* line, float* out, std::int64_t count, std::int64_t stride,
               const std::vector<double>& weights) {
  const auto radius = static_cast<std::int64_t>(weights.size() / 2);
  for (std::int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (std::int64_t k = -radius; k <= radius; ++k) {
      const std::int64_t from = std::clamp<std::int64_t>(i + k, 0, count - 1);
      sum += weights[static_cast<std::size_t>(k + radius)] * line[from * stride];
    }
    out[i * stride] = static_cast<float>(sum);
  }
}

}  // namespace

Tensor rotated(const Tensor& picture, std::int64_t quarter_turns) {
  // Of 0 turns, rot90 gives a copy too; of others, it may give a view.
  return torch::rot90(picture, quarter_turns, {1, 2}).contiguous();
}

Tensor inverted(const Tensor& picture, double strength) {
  return picture * (1 - 2 * strength) + strength;
}

Tensor noisy(const Tensor& picture, double sigma, RandomStream& random) {
  Tensor out = picture.contiguous().clone();
  auto* values = out.data_ptr<float>();
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const double value = values[i] + sigma * random.normal();
    values[i] = static_cast<float>(std::clamp(value, 0.0, 1.0));
  }
  return out;
}

Tensor blurred(const Tensor& picture, double sigma) {
  const std::vector<double> weights = gaussian(sigma);
  const Tensor in = picture.contiguous();
  const Tensor along_rows = torch::empty_like(in);
  Tensor out = torch::empty_like(in);
  const std::int64_t height = in.size(1);
  const std::int64_t width = in.size(2);
  for (std::int64_t c = 0; c < in.size(0); ++c) {
    const std::int64_t channel = c * height * width;
    for (std::int64_t y = 0; y < height; ++y) {
      const std::int64_t row = channel + y * width;
      blur_line(in.data_ptr<float>() + row, along_rows.data_ptr<float>() + row, width, 1, weights);
    }
    for (std::int64_t x = 0; x < width; ++x) {
      const std::int64_t column = channel + x;
      blur_line(along_rows.data_ptr<float>() + column, out.data_ptr<float>() + column, height, width,
                weights);
    }
  }
  return out;
}

}  // namespace refnorm::data
