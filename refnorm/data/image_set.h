#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

namespace refnorm::data {

struct Batch {
  torch::Tensor images;  ///< [N, C, H, W] float32, normalized
  torch::Tensor labels;  ///< [N] int64
};

/// A set of labelled pictures.
class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual std::int64_t size() const = 0;
  virtual std::int64_t label(std::int64_t index) const = 0;
  /// The samples of these indices, in this order. Indices must be in 0 … size() − 1.
  virtual Batch batch(std::span<const std::int64_t> indices) const = 0;
  virtual std::int64_t channels() const = 0;
  virtual const std::vector<std::string>& class_names() const = 0;
};

/// The label of each sample.
std::vector<std::int64_t> labels_of(const ImageSet& set);

/// A choice of another set's samples.
std::shared_ptr<const ImageSet> subset(std::shared_ptr<const ImageSet> all,
                                       std::vector<std::int64_t> indices);

struct Splits {
  std::shared_ptr<const ImageSet> train, validation, test;
};

/// Takes `validation` samples out of `train`. Which ones is a fixed draw, the same for every seed of a run.
Splits hold_out(std::shared_ptr<const ImageSet> train, std::shared_ptr<const ImageSet> test,
                std::int64_t validation);

}  // namespace refnorm::data
