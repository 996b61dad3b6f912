#pragma once

#include <filesystem>

#include <refnorm/data/image_set.h>

namespace refnorm::data {

/// What is known of such a set without its files. `kind` is "mnist" or "fashion-mnist".
struct MnistFacts {
  std::vector<std::string> class_names;
  double mean = 0, deviation = 1;  ///< the training set's usual constants
};
MnistFacts mnist_facts(const std::string& kind);

/// Height and width of the pictures.
inline constexpr std::int64_t kMnistSide = 28;

/// MNIST and Fashion-MNIST: the four IDX files of `folder`, plain or gzipped, held in memory as bytes. Pixels
/// become (x/255 − mean) / deviation with the constants of mnist_facts(). Throws UserError that names the
/// file.
TrainAndTest load_mnist(const std::filesystem::path& folder, const std::string& kind);

}  // namespace refnorm::data
