#include <charconv>
#include <cmath>
#include <functional>
#include <system_error>
#include <utility>

#include <torch/types.h>

#include <refnorm/base/error.h>
#include <refnorm/base/random.h>
#include <refnorm/base/text.h>
#include <refnorm/data/corruption.h>
#include <refnorm/data/transform.h>

namespace refnorm::data {
namespace {

using Change = std::function<torch::Tensor(const torch::Tensor& picture, std::int64_t index)>;

class Corrupted : public ImageSetView {
 public:
  Corrupted(std::shared_ptr<const ImageSet> set, Change change)
      : ImageSetView(std::move(set)), change_(std::move(change)) {}

  Batch batch(std::span<const std::int64_t> indices) const override {
    return changed(all().batch(indices), indices);
  }
  Batch training_batch(std::span<const std::int64_t> indices, std::int64_t epoch) const override {
    return changed(all().training_batch(indices, epoch), indices);
  }

 private:
  Batch changed(Batch batch, std::span<const std::int64_t> indices) const {
    const PixelScale scale = pixel_scale();
    std::vector<torch::Tensor> pictures;
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const torch::Tensor picture = scale.pixels(batch.images[static_cast<std::int64_t>(i)]);
      pictures.push_back(scale.values(change_(picture, indices[i])));
    }
    batch.images = torch::stack(pictures);
    return batch;
  }

  Change change_;
};

double strength_of(const std::string& spec, const std::string& text, double least, double most) {
  double strength = 0;
  const char* const last = text.data() + text.size();
  const auto [end, failure] = std::from_chars(text.data(), last, strength);
  if (failure != std::errc() || end != last || !(strength >= least && strength <= most))
    user_error("measure.corruptions: '{}', expected a strength of {} to {} behind the colon", printable(spec),
               least, most);
  return strength;
}

}  // namespace

std::shared_ptr<const ImageSet> corrupted(std::shared_ptr<const ImageSet> set, const std::string& spec) {
  const std::size_t colon = spec.find(':');
  const std::string kind = spec.substr(0, colon);
  const std::string text = colon == std::string::npos ? "" : spec.substr(colon + 1);
  const auto of = [&](double least, double most) { return strength_of(spec, text, least, most); };
  Change change;
  if (kind == "noisy") {
    const double sigma = of(0, 10);
    change = [sigma](const torch::Tensor& picture, std::int64_t index) {
      RandomStream random(static_cast<std::uint64_t>(index), "corruption");
      return noisy(picture, sigma, random);
    };
  } else if (kind == "blurred") {
    const double sigma = of(0.01, 100);
    change = [sigma](const torch::Tensor& picture, std::int64_t) { return blurred(picture, sigma); };
  } else if (kind == "inverted") {
    const double strength = of(0, 1);
    change = [strength](const torch::Tensor& picture, std::int64_t) { return inverted(picture, strength); };
  } else if (kind == "rotated") {
    const double quarters = of(0, 3);
    if (quarters != std::floor(quarters))
      user_error("measure.corruptions: '{}', expected whole quarter turns", printable(spec));
    change = [quarters](const torch::Tensor& picture, std::int64_t) {
      return rotated(picture, static_cast<std::int64_t>(quarters));
    };
  } else {
    user_error("measure.corruptions: '{}' is not known{}", printable(spec),
               suggestion(kind, {"noisy", "blurred", "inverted", "rotated"}));
  }
  return std::make_shared<Corrupted>(std::move(set), std::move(change));
}

}  // namespace refnorm::data
