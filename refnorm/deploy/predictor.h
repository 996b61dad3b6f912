#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <refnorm/data/picture.h>
#include <refnorm/deploy/model_description.h>

namespace refnorm::deploy {

/// A trained network that scores pictures, whatever kind of file it comes from.
class Predictor {
 public:
  virtual ~Predictor() = default;
  virtual const ModelDescription& description() const = 0;
  /// images[count, channels, height, width] row-major, scaled as description() says, -> scores[count,
  /// classes] row-major, whose softmax are the probabilities. Throws UserError or Error of one line.
  virtual std::vector<float> scores(const std::vector<float>& images, std::int64_t count) = 0;
  /// What the file does not say and had to be assumed, a line each, for people.
  virtual std::vector<std::string> assumptions() const { return {}; }
};

/// What the network takes, as pictures are made ready for it.
data::PictureFormat picture_format(const ModelDescription& description);

/// A class and how probable the network holds it to be.
struct Guess {
  std::int64_t index = 0;  ///< in description().classes
  double probability = 0;
};

/// The softmax of one picture's scores as its `top` most probable classes, the most probable first; of equal
/// ones the lower index. Throws Error naming
/// `origin` where a score is not finite (−infinity is: probability 0).
std::vector<Guess> best_guesses(const std::vector<float>& scores, std::int64_t top,
                                const std::string& origin);

}  // namespace refnorm::deploy
