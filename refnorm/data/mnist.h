#pragma once

#include <filesystem>

#include <refnorm/data/image_set.h>

namespace refnorm::data {

struct TrainAndTest {
  std::shared_ptr<const ImageSet> train, test;
};

/// MNIST and Fashion-MNIST: the four IDX files of `folder`, plain or gzipped, held in memory as bytes. Pixels
/// become (x/255 − mean) / deviation with the training set's usual constants (0.1307, 0.3081; Fashion-MNIST
/// 0.2860, 0.3530). `kind` is "mnist" or "fashion-mnist". Throws UserError that names the file.
TrainAndTest load_mnist(const std::filesystem::path& folder, const std::string& kind);

}  // namespace refnorm::data
