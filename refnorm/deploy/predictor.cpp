#include <algorithm>
#include <cmath>
#include <limits>

#include <refnorm/base/error.h>
#include <refnorm/deploy/predictor.h>

namespace refnorm::deploy {

data::PictureFormat picture_format(const ModelDescription& description) {
  return {description.channels, description.height, description.width,
          description.mean,     description.std,    description.centre};
}

std::vector<Guess> best_guesses(const std::vector<float>& scores, std::int64_t top,
                                const std::string& origin) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  float largest = kNever;
  for (const float score : scores) {
    if (!std::isfinite(score) && score != kNever)
      fail("{}: the scores are not finite numbers; has its training diverged?", origin);
    largest = std::max(largest, score);
  }
  if (largest == kNever) fail("{}: the scores are not finite numbers; has its training diverged?", origin);
  std::vector<Guess> guesses;
  double sum = 0;
  for (const float score : scores) {
    const double weight = std::exp(static_cast<double>(score) - largest);
    guesses.push_back({static_cast<std::int64_t>(guesses.size()), weight});
    sum += weight;
  }
  for (Guess& guess : guesses) guess.probability /= sum;
  const std::size_t kept = std::min(guesses.size(), static_cast<std::size_t>(std::max<std::int64_t>(top, 0)));
  std::partial_sort(guesses.begin(), guesses.begin() + static_cast<std::ptrdiff_t>(kept), guesses.end(),
                    [](const Guess& a, const Guess& b) {
                      return a.probability != b.probability ? a.probability > b.probability
                                                            : a.index < b.index;
                    });
  guesses.resize(kept);
  return guesses;
}

}  // namespace refnorm::deploy
